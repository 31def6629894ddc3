// SPDX-License-Identifier: Apache-2.0
// flowd/key.hpp: flow keys in containers. The two directions of a 5-tuple are one flow, for the hash, the comparison and
// the order alike. Pure functions, any thread.
//
//     std::unordered_map<flowd_key, Mine, flowd::KeyHash, flowd::KeyEqual> flows;
//     std::map<flowd_key, Mine, flowd::KeyLess> sorted;
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>

#include "flowd/abi/event.h"

namespace flowd {

/// Hash of a key, the same for both directions. Seeded, because keys come from outside and an attacker must not be able to
/// choose keys that share a bucket: never store it or send it. It is not the hash that fills a flow label's entropy bits.
class KeyHash {
  public:
    /// With a random seed that all such objects of a module share.
    KeyHash() : seed_(module_seed()) {}
    explicit KeyHash(std::uint64_t seed) : seed_(seed) {}

    [[nodiscard]] std::uint64_t operator()(const flowd_key& key) const {
        // Each end alone, then a sum: commutative, so no direction has to be chosen first.
        const std::uint64_t ends = end(key.source, key.source_port) + end(key.destination, key.destination_port);
        return mix(ends ^ seed_, (std::uint64_t{key.zone} << 32 | key.scope) * multiplier_ ^ key.protocol ^ second_);
    }

  private:
    static constexpr std::uint64_t multiplier_ = 0x9e3779b97f4a7c15ull;

    static std::uint64_t module_seed() {
        static const std::uint64_t seed = [] {
            std::random_device random;
            return std::uint64_t{random()} << 32 | random();
        }();
        return seed;
    }
    // A factor of 0 hides the other one: no factor may be 0 for a key that somebody can choose without the seed.
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
        return mix(mix(high ^ seed_, low ^ second_) ^ seed_, (port + 1u) * multiplier_);
    }

    std::uint64_t seed_;
    std::uint64_t second_ = std::rotl(seed_, 32) ^ multiplier_;
};

enum class Match : std::uint8_t { none, same, reversed };

/// Whether two keys are one flow, and if so, whether they have the same direction.
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

struct KeyEqual {
    [[nodiscard]] bool operator()(const flowd_key& a, const flowd_key& b) const { return match(a, b) != Match::none; }
};

/// By the lower end (address, port), the higher end, protocol, scope and zone.
struct KeyLess {
    [[nodiscard]] bool operator()(const flowd_key& a, const flowd_key& b) const {
        const Ends mine = ends(a), theirs = ends(b);
        if (const int order = compare(mine.first, theirs.first)) return order < 0;
        if (const int order = compare(mine.second, theirs.second)) return order < 0;
        if (a.protocol != b.protocol) return a.protocol < b.protocol;
        return a.scope != b.scope ? a.scope < b.scope : a.zone < b.zone;
    }

  private:
    struct End {
        const std::uint8_t* address;
        std::uint16_t port;
    };
    using Ends = std::pair<End, End>;

    static int compare(const End& a, const End& b) {
        const int order = std::memcmp(a.address, b.address, 16);
        return order != 0 ? order : int{a.port} - int{b.port};
    }
    static Ends ends(const flowd_key& key) {
        Ends both{{key.source, key.source_port}, {key.destination, key.destination_port}};
        if (compare(both.second, both.first) < 0) std::swap(both.first, both.second);
        return both;
    }
};

}  // namespace flowd
