// SPDX-License-Identifier: Apache-2.0
#include "core/setup/sockets.hpp"

#include <netinet/tcp.h>

#include "lib/diag/socket.hpp"

namespace flowd::core {

Result<std::vector<flowd_connection>> open_sockets() {
    auto socket = diag::Socket::open();
    if (!socket) return std::move(socket).error();
    std::vector<flowd_connection> all;
    const auto visit = [&all](const diag::Connection& found) {
        flowd_connection one{};
        one.size = sizeof one;
        one.known = FLOWD_CONNECTION_USER;
        if (found.cgroup != 0) one.known |= FLOWD_CONNECTION_CGROUP;
        one.key = found.key();
        one.cookie = found.cookie;
        one.cgroup = found.cgroup;
        one.user = found.user;
        one.interface = found.interface;
        one.state = found.state;
        all.push_back(one);
    };
    const std::uint32_t listening = diag::state_bit(TCP_LISTEN);
    const std::uint32_t connected =
        diag::connected_states() & ~(diag::state_bit(TCP_SYN_SENT) | diag::state_bit(TCP_SYN_RECV));
    if (auto done = socket->dump({IPPROTO_TCP, 0, listening | connected}, visit); !done) return std::move(done).error();
    if (auto done = socket->dump({IPPROTO_UDP, 0, diag::state_bit(TCP_ESTABLISHED)}, visit); !done)
        return std::move(done).error();
    return all;
}

}  // namespace flowd::core
