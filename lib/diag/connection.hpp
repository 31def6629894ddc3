// SPDX-License-Identifier: Apache-2.0
// lib/diag/connection.hpp: one socket as sock_diag(7) reports it. Pure functions.
// Source: include/uapi/linux/inet_diag.h, net/ipv4/inet_diag.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "flowd/address.hpp"

namespace flowd::diag {

/// Borrows from the message: text and bytes are valid until the next one is read. Numbers in host byte order.
struct Connection {
    Endpoint local;
    Endpoint remote;  ///< port 0: not connected
    std::uint8_t protocol = 0;
    std::uint8_t state = 0;  ///< include/net/tcp_states.h
    std::uint64_t cookie = 0;
    std::uint64_t cgroup = 0;     ///< id of its control group (version 2); 0: not reported
    std::uint32_t user = 0;       ///< not reported for a socket that was freed
    std::uint32_t interface = 0;  ///< index of the interface that it is bound to, or 0
    std::uint32_t unread = 0;     ///< bytes received that the application has not read; a FIN counts as one
    flowd_bytes tcp_info{};
    std::string_view congestion;

    /// Scope 0, the local end as the source.
    [[nodiscard]] flowd_key key() const { return make_key(local, remote, protocol); }
};

/// `payload` follows the netlink header of a SOCK_DIAG_BY_FAMILY message. `protocol`: the requested one, unless the
/// message contains another. Nothing for a family other than IPv4 and IPv6, and for a truncated message.
[[nodiscard]] std::optional<Connection> parse(std::span<const std::byte> payload, std::uint8_t protocol);

}  // namespace flowd::diag
