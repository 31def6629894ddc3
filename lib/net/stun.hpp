// SPDX-License-Identifier: Apache-2.0
// lib/net/stun.hpp: the Binding request and its answers of STUN (RFC 8489). Pure functions, any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "flowd/address.hpp"
#include "flowd/result.hpp"

namespace flowd::net::stun {

inline constexpr std::uint16_t default_port = 3478;

/// 96 bits that nobody can guess: they tell the answer from what others send.
using TransactionId = std::array<std::byte, 12>;
/// From the kernel; waits for nothing once the machine has started.
[[nodiscard]] Result<TransactionId> random_id();

inline constexpr std::size_t header_size = 20;
/// Without attributes.
[[nodiscard]] std::array<std::byte, header_size> binding_request(const TransactionId& id);

/// Where the server saw the request come from: XOR-MAPPED-ADDRESS, or else MAPPED-ADDRESS. FLOWD_DENIED: the server's error
/// response to this very request. FLOWD_INVALID: anything else, which is not its answer. Integrity and fingerprint are not
/// checked: there is no secret that client and server share, and the transaction id is 96 bits.
[[nodiscard]] Result<Endpoint> parse_binding_response(std::span<const std::byte> datagram, const TransactionId& id);

}  // namespace flowd::net::stun
