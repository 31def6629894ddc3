// SPDX-License-Identifier: Apache-2.0
// lib/net/address_hash.hpp: hashes of addresses. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flowd/address.hpp"

namespace flowd::net {

/// A stable hash of an address (FNV-1a). Never 0, which means "no address".
[[nodiscard]] inline std::uint64_t hash_of(const Address& address) {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const std::uint8_t byte : address.bytes()) hash = (hash ^ byte) * 0x100000001b3u;
    return hash == 0 ? 1 : hash;
}

struct AddressHash {
    std::size_t operator()(const Address& address) const { return static_cast<std::size_t>(hash_of(address)); }
};

}  // namespace flowd::net
