// SPDX-License-Identifier: Apache-2.0
// What sock_diag tells of a socket, from its first byte (the protocol that was asked for) on: whatever it is, nothing
// beyond the message is looked at, and what is understood can be counted and be a flow.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "lib/diag/connection.hpp"
#include "lib/net/tcp_info.hpp"

namespace {

using namespace flowd;

void require(bool truth) {
    if (!truth) std::abort();
}

/// `part` is empty or lies in the message.
void require_inside(std::span<const std::byte> message, const void* part, std::size_t size) {
    if (size == 0) return;
    const auto* begin = static_cast<const std::byte*>(part);
    const std::less_equal<> not_after;
    require(not_after(message.data(), begin) && not_after(begin + size, message.data() + message.size()));
}

void judge(std::span<const std::byte> message, std::uint8_t protocol) {
    const auto connection = diag::parse(message, protocol);
    if (!connection) return;
    require_inside(message, connection->tcp_info.data, connection->tcp_info.length);
    require_inside(message, connection->congestion.data(), connection->congestion.size());
    require(connection->congestion.find('\0') == std::string_view::npos);
    const flowd_key key = connection->key();
    require(source_of(key) == connection->local && destination_of(key) == connection->remote);
    (void)net::rtt_us(connection->tcp_info);
    (void)net::tcp_quiet_ms(connection->tcp_info);
    for (const bool fin : {false, true}) {
        const auto usage = net::tcp_usage(connection->tcp_info, fin);
        require(usage.has_value() == net::tcp_value(connection->tcp_info, net::tcp::bytes_retrans).has_value());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    // Of exactly this size, so that a byte too many is noticed; and cut short.
    for (const std::size_t length : {size - 1, (size - 1) / 2, std::min<std::size_t>(size - 1, 73)}) {
        std::vector<std::byte> message(length);
        std::transform(data + 1, data + 1 + length, message.begin(), [](std::uint8_t byte) { return std::byte{byte}; });
        message.shrink_to_fit();
        judge(message, data[0]);
    }
    return 0;
}
