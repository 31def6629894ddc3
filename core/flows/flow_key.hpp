// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_key.hpp: how the flow table tells flows apart: one key for both directions of a tuple.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "flowd/abi/event.h"

namespace flowd::core {

/// Hash of a key that is the same in both directions. Seeded, because keys come from outside and must not be able to
/// aim at one bucket; it never leaves the process and is not the hash that fills a flow label's entropy.
class KeyHash {
  public:
    explicit KeyHash(std::uint64_t seed) : seed_(seed) {}

    [[nodiscard]] std::uint64_t operator()(const flowd_key& key) const {
        // Each end alone, then a sum: commutative, so no direction has to be chosen first.
        const std::uint64_t ends = end(key.source, key.source_port) + end(key.destination, key.destination_port);
        return mix(ends ^ seed_, (std::uint64_t{key.zone} << 32 | key.scope) * multiplier_ ^ (key.protocol + multiplier_));
    }

  private:
    static constexpr std::uint64_t multiplier_ = 0x9e3779b97f4a7c15ull;

    static std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
    [[nodiscard]] std::uint64_t end(const std::uint8_t (&address)[16], std::uint16_t port) const {
        std::uint64_t high = 0;
        std::uint64_t low = 0;
        std::memcpy(&high, address, 8);
        std::memcpy(&low, address + 8, 8);
        return mix(mix(high ^ seed_, low ^ multiplier_) ^ seed_, (port + 1u) * multiplier_);
    }

    std::uint64_t seed_;
};

enum class Match : std::uint8_t { none, same, reversed };

[[nodiscard]] inline Match match(const flowd_key& a, const flowd_key& b) {
    if (a.protocol != b.protocol || a.scope != b.scope || a.zone != b.zone) return Match::none;
    if (a.source_port == b.source_port && a.destination_port == b.destination_port &&
        std::memcmp(a.source, b.source, 16) == 0 && std::memcmp(a.destination, b.destination, 16) == 0)
        return Match::same;
    if (a.source_port == b.destination_port && a.destination_port == b.source_port &&
        std::memcmp(a.source, b.destination, 16) == 0 && std::memcmp(a.destination, b.source, 16) == 0)
        return Match::reversed;
    return Match::none;
}

[[nodiscard]] inline flowd_usage reversed(const flowd_usage& usage) {
    return {usage.bytes_received, usage.bytes_sent, usage.packets_received, usage.packets_sent, usage.source, usage.known};
}

/// Where addresses are only unique on one link: fe80::/10 and ff02::/16.
[[nodiscard]] inline bool has_zone(const std::uint8_t (&address)[16]) {
    return (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) || (address[0] == 0xff && address[1] == 0x02);
}

/// One form for what flowd_key allows several for. `own_scope`: the inode number of the daemon's network namespace.
inline void normalise(flowd_key& key, std::uint32_t own_scope) {
    if (key.scope == own_scope) key.scope = 0;
    if (!has_zone(key.source) && !has_zone(key.destination)) key.zone = 0;
}

/// FLOWD_LOCAL_* and FLOWD_INITIATOR_* name an end by 1 and 2; the rest means the same from both sides.
[[nodiscard]] inline std::uint8_t reversed_end(std::uint8_t end) {
    return end == 1 || end == 2 ? static_cast<std::uint8_t>(3 - end) : end;
}

}  // namespace flowd::core
