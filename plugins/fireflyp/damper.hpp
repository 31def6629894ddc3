// SPDX-License-Identifier: Apache-2.0
// A duplicate filter for datagrams. Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string_view>
#include <vector>

#include "lib/firefly/firefly.hpp"
#include "plugins/fireflyp/flow_limit.hpp"

namespace flowd::fireflyp {

/// A table of hashes with the time when each was seen, which the readers of an instance share: a datagram may come back
/// from another host than the one that sent it first. Bounded: on a collision the later one replaces the earlier one, so
/// that at worst a duplicate is not recognised.
class Damper {
  public:
    using Clock = std::chrono::steady_clock;

    /// `slots`: memory is allocated with the first datagram.
    Damper(std::chrono::nanoseconds window, std::size_t slots) : tick_(window / window_ticks), size_(slots) {}

    /// True if the same hash was seen within the window. Otherwise stores it.
    [[nodiscard]] bool repeated(std::size_t hash, Clock::time_point now) {
        std::call_once(allocated_, [this] { slots_ = std::vector<Slot>(size_); });
        const std::uint64_t mixed = hash * 0x9e3779b97f4a7c15u;
        const auto tick = static_cast<std::uint16_t>(now.time_since_epoch() / tick_);
        Slot& slot = slots_[hash % size_];
        std::uint64_t known = slot.load(std::memory_order_relaxed);
        do {
            // Negative if another thread, whose tick is newer, has just stored it.
            const auto age = static_cast<std::int16_t>(tick - static_cast<std::uint16_t>(known));
            if (known != 0 && (known ^ mixed) >> 16 == 0 && std::abs(age) < window_ticks) return true;
        } while (!slot.compare_exchange_weak(known, mixed >> 16 << 16 | tick, std::memory_order_relaxed));
        return false;
    }

  private:
    static constexpr int window_ticks = 64;
    /// 48 bits of the hash, and 16 of the time in ticks. 0: unused.
    using Slot = std::atomic<std::uint64_t>;

    std::chrono::nanoseconds tick_;
    std::size_t size_;
    std::once_flag allocated_;
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
