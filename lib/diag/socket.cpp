// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/socket.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "lib/net/netlink_dump.hpp"

namespace flowd::diag {
namespace {

struct Request {
    nlmsghdr header;
    inet_diag_req_v2 body;
};

}  // namespace

std::uint32_t connected_states() {
    return state_bit(TCP_ESTABLISHED) | state_bit(TCP_SYN_SENT) | state_bit(TCP_SYN_RECV) | state_bit(TCP_FIN_WAIT1) |
           state_bit(TCP_FIN_WAIT2) | state_bit(TCP_CLOSE_WAIT) | state_bit(TCP_LAST_ACK) | state_bit(TCP_CLOSING);
}

Socket::Socket(UniqueFd fd) : fd_(std::move(fd)) {}

Result<Socket> Socket::open() {
    UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!fd) return Error::from_errno(errno, "opening a sock_diag socket");
    net::limit_waiting(fd.get());
    return Socket(std::move(fd));
}

Result<void> Socket::dump(const DumpRequest& request, const Visitor& visitor) {
    for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
        Request message{};
        message.header.nlmsg_len = sizeof message;
        message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
        message.header.nlmsg_seq = sequence_;
        message.body.sdiag_family = family;
        message.body.sdiag_protocol = request.protocol;
        message.body.idiag_ext = request.extensions;
        message.body.idiag_states = request.states;
        const auto each = [&](const nlmsghdr& header, const std::byte* body, std::size_t size) {
            if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return;
            if (const auto connection = parse({body, size}, request.protocol)) visitor(*connection);
        };
        auto done = net::netlink_dump(fd_.get(), message.header, each, {});
        sequence_ = message.header.nlmsg_seq;
        if (done) continue;
        Error error = std::move(done).error().within("asking sock_diag for sockets");
        if (error.code == FLOWD_NOT_FOUND) error.hint = "the kernel lacks tcp_diag or udp_diag: modprobe tcp_diag";
        return error;
    }
    return {};
}

}  // namespace flowd::diag
