// SPDX-License-Identifier: Apache-2.0
// A duplicate filter for datagrams. Belongs to one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "lib/firefly/firefly.hpp"
#include "plugins/fireflyp/flow_limit.hpp"

namespace flowd::fireflyp {

/// A table of hashes with the time when each was seen. Bounded: on a collision the later one replaces the earlier one, so
/// that at worst a duplicate is not recognised.
class Damper {
  public:
    using Clock = std::chrono::steady_clock;

    /// `slots`: memory is allocated with the first datagram.
    explicit Damper(std::chrono::nanoseconds window, std::size_t slots) : window_(window), size_(slots) {}

    /// True if the same hash was seen within the window. Otherwise stores it.
    [[nodiscard]] bool repeated(std::size_t hash, Clock::time_point now) {
        if (slots_.empty()) slots_.resize(size_);
        Slot& slot = slots_[hash % slots_.size()];
        if (slot.hash == hash && slot.seen != Clock::time_point{} && now - slot.seen < window_) return true;
        slot = {hash, now};
        return false;
    }

  private:
    struct Slot {
        std::size_t hash = 0;
        Clock::time_point seen{};
    };
    std::chrono::nanoseconds window_;
    std::size_t size_;
    std::vector<Slot> slots_;
};

/// Hash of the text without the header, which some relays rewrite. Two fireflies of one flow differ in their times.
[[nodiscard]] inline std::size_t hash_of_text(std::string_view datagram) {
    return std::hash<std::string_view>{}(datagram.substr(std::min(datagram.find('{'), datagram.size())));
}

/// Hash of the number of a datagram. It includes the flow, so that a forged number can suppress only fireflies of a flow
/// that the forger announces.
[[nodiscard]] inline std::size_t hash_of_number(const firefly::FlowdMember& member, const FlowState& flow) {
    std::size_t hash = flow.hash();
    for (const std::uint64_t part : {member.boot, member.stream, member.seq})
        hash = (hash ^ std::hash<std::uint64_t>{}(part)) * 0x9e3779b97f4a7c15u + (hash >> 29);
    return hash;
}

}  // namespace flowd::fireflyp
