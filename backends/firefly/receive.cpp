// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/receive.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

#include "lib/net/no_ipv6.hpp"
#include "lib/net/udp_socket.hpp"

namespace flowd::firefly_backend {

Result<Received> receive_datagrams(const Receiving& receiving, ToolCall& call,
                                   const std::function<Taken(const net::Datagram&)>& take) {
    const auto at = net::listening_endpoint(receiving.at);
    if (!at.warning.empty()) call.host().warning(at.warning);
    auto socket = net::UdpSocket::bound(at.endpoint, 4 << 20);
    if (!socket) return std::move(socket).error();
    call.host().info("receiving fireflies at " + at.endpoint.to_string());
    net::ReceiveBatch batch(64, 65535);
    Received received;
    const auto end = std::chrono::steady_clock::now() + receiving.seconds;
    std::array<pollfd, 2> wanted{{{socket->fd(), POLLIN, 0}, {call.interrupt_fd(), POLLIN, 0}}};
    while (receiving.count == 0 || received.counted < receiving.count) {
        int timeout = -1;
        if (receiving.seconds.count() > 0) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
            if (left <= 0) break;
            timeout = static_cast<int>(std::min<std::int64_t>(left, 60'000));
        }
        (void)::poll(wanted.data(), wanted.size(), timeout);
        if (wanted[1].revents != 0) return Received{received.counted, true};
        auto datagrams = batch.receive(socket->fd());
        if (!datagrams) return std::move(datagrams).error();
        for (const net::Datagram& datagram : *datagrams) {
            if (receiving.count != 0 && received.counted == receiving.count) break;
            const Taken taken = take(datagram);
            if (taken == Taken::stop) return Received{received.counted, true};
            if (taken == Taken::counted) ++received.counted;
        }
    }
    return received;
}

}  // namespace flowd::firefly_backend
