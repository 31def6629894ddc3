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

/// 96 random bits that distinguish the answer from forged datagrams.
using TransactionId = std::array<std::byte, 12>;
/// From the kernel's generator; does not block once that is initialised.
[[nodiscard]] Result<TransactionId> random_id();

inline constexpr std::size_t header_size = 20;
/// Without attributes.
[[nodiscard]] std::array<std::byte, header_size> binding_request(const TransactionId& id);

/// The source of the request as the server saw it: XOR-MAPPED-ADDRESS, or else MAPPED-ADDRESS. FLOWD_DENIED: an error
/// response to this request. FLOWD_INVALID: anything else. Integrity and fingerprint are not
/// checked: there is no secret that client and server share, and the transaction id is 96 bits.
[[nodiscard]] Result<Endpoint> parse_binding_response(std::span<const std::byte> datagram, const TransactionId& id);

}  // namespace flowd::net::stun
