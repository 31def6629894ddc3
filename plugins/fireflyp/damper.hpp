// SPDX-License-Identifier: Apache-2.0
// Tells datagrams that were just seen, so that two relays do not play ping-pong. Belongs to one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace flowd::fireflyp {

/// A table of hashes, each with the time it was seen. Bounded: where two fall together the later one wins, which at worst
/// lets a repeat through. Identical means every byte, so two fireflies of one flow differ by their times.
class Damper {
  public:
    using Clock = std::chrono::steady_clock;

    explicit Damper(std::chrono::nanoseconds window = std::chrono::seconds(5), std::size_t slots = 8192)
        : window_(window), slots_(slots) {}

    /// True when the same bytes came within the window. Remembers them otherwise.
    [[nodiscard]] bool repeated(std::string_view datagram, Clock::time_point now) {
        const std::uint64_t hash = std::hash<std::string_view>{}(datagram);
        Slot& slot = slots_[hash % slots_.size()];
        if (slot.used && slot.hash == hash && slot.size == datagram.size() && now - slot.seen < window_) return true;
        slot = {hash, datagram.size(), now, true};
        return false;
    }

  private:
    struct Slot {
        std::uint64_t hash = 0;
        std::size_t size = 0;
        Clock::time_point seen{};
        bool used = false;
    };
    std::chrono::nanoseconds window_;
    std::vector<Slot> slots_;
};

}  // namespace flowd::fireflyp
