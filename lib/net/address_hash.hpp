// SPDX-License-Identifier: Apache-2.0
// lib/net/address_hash.hpp: who told us, as a number (flowd_event.sender). Pure, any thread.
#pragma once

#include <cstdint>

#include "flowd/address.hpp"

namespace flowd::net {

/// A stable hash of an address (FNV-1a), never 0, which means nobody.
[[nodiscard]] inline std::uint64_t hash_of(const Address& address) {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const std::uint8_t byte : address.bytes()) hash = (hash ^ byte) * 0x100000001b3u;
    return hash == 0 ? 1 : hash;
}

}  // namespace flowd::net
