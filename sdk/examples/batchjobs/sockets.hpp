// SPDX-License-Identifier: Apache-2.0
// The TCP sockets of this network namespace with their control groups: sock_diag(7), INET_DIAG_CGROUP_ID.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>

#include "flowd/address.hpp"
#include "flowd/result.hpp"

namespace batchjobs {

/// Called for each connection with the id of its control group, which is the inode number of the group's directory.
using Visit = std::function<void(const flowd_key& connection, std::uint64_t group)>;

inline int read_group(const nlattr* attribute, void* group) {
    const bool is_group = ::mnl_attr_get_type(attribute) == INET_DIAG_CGROUP_ID;
    if (is_group) *static_cast<std::uint64_t*>(group) = ::mnl_attr_get_u64(attribute);
    return MNL_CB_OK;
}

inline int read_socket(const nlmsghdr* message, void* visit) {
    const auto& socket = *static_cast<const inet_diag_msg*>(::mnl_nlmsg_get_payload(message));
    const auto end = [&](const std::uint32_t(&words)[4], std::uint16_t port) -> flowd::Endpoint {
        in6_addr address{};
        std::memcpy(&address, words, sizeof address);
        return {socket.idiag_family == AF_INET6 ? flowd::Address(address) : flowd::Address(in_addr{words[0]}), ntohs(port)};
    };
    std::uint64_t group = 0;
    ::mnl_attr_parse(message, sizeof socket, read_group, &group);
    (*static_cast<const Visit*>(visit))(flowd::make_key(end(socket.id.idiag_src, socket.id.idiag_sport),
                                                        end(socket.id.idiag_dst, socket.id.idiag_dport), IPPROTO_TCP),
                                        group);
    return MNL_CB_OK;
}

inline flowd::Result<void> visit_connections(Visit visit) {
    const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> netlink(::mnl_socket_open(NETLINK_SOCK_DIAG),
                                                                    &::mnl_socket_close);
    struct {
        nlmsghdr header{sizeof(nlmsghdr) + sizeof(inet_diag_req_v2), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 0, 0};
        inet_diag_req_v2 body{AF_INET, IPPROTO_TCP, 0, 0, ~(1u << TCP_LISTEN | 1u << TCP_CLOSE | 1u << TCP_TIME_WAIT), {}};
    } request;
    alignas(nlmsghdr) char answer[32768];
    for (const std::uint8_t family : {AF_INET, AF_INET6}) {
        request.body.sdiag_family = family;
        int more = netlink && ::mnl_socket_sendto(netlink.get(), &request, sizeof request) >= 0 ? MNL_CB_OK : MNL_CB_ERROR;
        while (more == MNL_CB_OK) {
            const ssize_t length = ::mnl_socket_recvfrom(netlink.get(), answer, sizeof answer);
            more = length < 0 ? MNL_CB_ERROR
                              : ::mnl_cb_run(answer, static_cast<std::size_t>(length), 0, 0, read_socket, &visit);
        }
        if (more == MNL_CB_ERROR) return flowd::Error::from_errno(errno, "asking sock_diag for sockets");
    }
    return {};
}

}  // namespace batchjobs
