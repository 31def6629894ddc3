// SPDX-License-Identifier: Apache-2.0
#include "sockets.hpp"

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "flowd/address.hpp"

namespace batchjobs {
namespace {

flowd::Endpoint endpoint(const inet_diag_msg& socket, const std::uint32_t (&words)[4], std::uint16_t port) {
    in6_addr address{};
    std::memcpy(&address, words, sizeof address);
    if (socket.idiag_family == AF_INET6) return {flowd::Address(address), ntohs(port)};
    return {flowd::Address(in_addr{words[0]}), ntohs(port)};
}

std::uint64_t group_of(const nlmsghdr& message) {
    std::uint64_t group = 0;
    const mnl_attr_cb_t read = [](const nlattr* attribute, void* out) {
        const bool is_group = ::mnl_attr_get_type(attribute) == INET_DIAG_CGROUP_ID;
        if (is_group) *static_cast<std::uint64_t*>(out) = ::mnl_attr_get_u64(attribute);
        return MNL_CB_OK;
    };
    ::mnl_attr_parse(&message, sizeof(inet_diag_msg), read, &group);
    return group;
}

}  // namespace

flowd::Result<void> visit_sockets(int family, const std::function<void(const flowd_key&, std::uint64_t group)>& visit) {
    const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(::mnl_socket_open(NETLINK_SOCK_DIAG),
                                                                   &::mnl_socket_close);
    if (!socket) return flowd::Error::from_errno(errno, "opening a netlink socket");
    alignas(nlmsghdr) char buffer[32768];
    nlmsghdr* const request = ::mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    auto* const body = static_cast<inet_diag_req_v2*>(::mnl_nlmsg_put_extra_header(request, sizeof(inet_diag_req_v2)));
    body->sdiag_family = static_cast<std::uint8_t>(family);
    body->sdiag_protocol = IPPROTO_TCP;
    body->idiag_states = ~(1u << TCP_LISTEN | 1u << TCP_CLOSE | 1u << TCP_TIME_WAIT);
    if (::mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0)
        return flowd::Error::from_errno(errno, "asking for sockets");

    for (;;) {
        const ssize_t length = ::mnl_socket_recvfrom(socket.get(), buffer, sizeof buffer);
        if (length <= 0) return flowd::Error::from_errno(errno, "listing the sockets");
        int left = static_cast<int>(length);
        for (const nlmsghdr* message = request; ::mnl_nlmsg_ok(message, left); message = ::mnl_nlmsg_next(message, &left)) {
            if (message->nlmsg_type == NLMSG_DONE) return {};
            if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY) return flowd::Error{FLOWD_ERROR, "sock_diag has refused"};
            const auto& found = *static_cast<const inet_diag_msg*>(::mnl_nlmsg_get_payload(message));
            visit(flowd::make_key(endpoint(found, found.id.idiag_src, found.id.idiag_sport),
                                  endpoint(found, found.id.idiag_dst, found.id.idiag_dport), IPPROTO_TCP),
                  group_of(*message));
        }
    }
}

}  // namespace batchjobs
