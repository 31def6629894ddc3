// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/socket.hpp"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <string>
#include <utility>

namespace flowd::diag {

std::uint32_t connected_states() {
    return state_bit(TCP_ESTABLISHED) | state_bit(TCP_SYN_SENT) | state_bit(TCP_SYN_RECV) | state_bit(TCP_FIN_WAIT1) |
           state_bit(TCP_FIN_WAIT2) | state_bit(TCP_CLOSE_WAIT) | state_bit(TCP_LAST_ACK) | state_bit(TCP_CLOSING);
}

Result<Socket> Socket::open(int interrupt) {
    auto netlink = nl::Socket::open(NETLINK_SOCK_DIAG, interrupt);
    if (!netlink) return std::move(netlink).error().within("asking sock_diag for sockets");
    return Socket(*std::move(netlink));
}

Result<void> Socket::dump(const DumpRequest& request, const Visitor& visitor) {
    for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
        inet_diag_req_v2 body{};
        body.sdiag_family = family;
        body.sdiag_protocol = request.protocol;
        body.idiag_ext = request.extensions;
        body.idiag_states = request.states;
        const auto each = [&](const nl::Message& message) {
            if (message.type() != SOCK_DIAG_BY_FAMILY) return;
            if (const auto connection = parse(message.payload(), request.protocol)) visitor(*connection);
        };
        auto done = netlink_.dump(SOCK_DIAG_BY_FAMILY, body, each, {});
        if (done) continue;
        Error error = std::move(done).error().within("asking sock_diag for sockets");
        if (error.code == FLOWD_NOT_FOUND) {
            const std::string module = request.protocol == IPPROTO_UDP ? "udp_diag" : "tcp_diag";
            error.message = "asking sock_diag for sockets: the kernel has no " + module;
            error.hint =
                "modprobe " + module + "; if there is no such module, install the package with all modules of this kernel";
        }
        return error;
    }
    return {};
}

}  // namespace flowd::diag
