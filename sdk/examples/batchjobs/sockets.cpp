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

flowd::Result<void> visit_sockets(int family, const std::function<void(const flowd_key&, std::uint64_t group)>& visit) {
    using Socket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;
    const Socket socket(::mnl_socket_open(NETLINK_SOCK_DIAG), &::mnl_socket_close);
    if (!socket || ::mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return flowd::Error::from_errno(errno, "opening a netlink socket");

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

    const mnl_cb_t on_message = [](const nlmsghdr* message, void* user) {
        if (message->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return MNL_CB_OK;
        const auto& found = *static_cast<const inet_diag_msg*>(::mnl_nlmsg_get_payload(message));
        const auto address_of = [&](const std::uint32_t(&words)[4]) {
            in_addr v4{words[0]};
            in6_addr v6{};
            std::memcpy(&v6, words, sizeof v6);
            return found.idiag_family == AF_INET ? flowd::Address(v4) : flowd::Address(v6);
        };
        std::uint64_t group = 0;
        const mnl_attr_cb_t on_attribute = [](const nlattr* attribute, void* out) {
            if (::mnl_attr_get_type(attribute) == INET_DIAG_CGROUP_ID &&
                ::mnl_attr_get_payload_len(attribute) == sizeof group)
                *static_cast<std::uint64_t*>(out) = ::mnl_attr_get_u64(attribute);
            return MNL_CB_OK;
        };
        ::mnl_attr_parse(message, sizeof(inet_diag_msg), on_attribute, &group);
        (*static_cast<decltype(&visit)>(user))(
            flowd::make_key({address_of(found.id.idiag_src), ntohs(found.id.idiag_sport)},
                            {address_of(found.id.idiag_dst), ntohs(found.id.idiag_dport)}, IPPROTO_TCP),
            group);
        return MNL_CB_OK;
    };
    for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
        const ssize_t length = ::mnl_socket_recvfrom(socket.get(), buffer, sizeof buffer);
        if (length > 0)
            more = ::mnl_cb_run(buffer, static_cast<std::size_t>(length), 0, ::mnl_socket_get_portid(socket.get()),
                                on_message, const_cast<void*>(static_cast<const void*>(&visit)));
        if (length <= 0 || more < 0) return flowd::Error::from_errno(errno, "listing the sockets");
    }
    return {};
}

}  // namespace batchjobs
