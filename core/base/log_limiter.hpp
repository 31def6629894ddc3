// SPDX-License-Identifier: Apache-2.0
// A rate limiter for repeated log lines, which hostile input can cause. Any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string_view>

namespace flowd::core {

class LogLimiter {
  public:
    using Clock = std::chrono::steady_clock;

    struct Verdict {
        bool pass = true;
        std::uint64_t suppressed = 0;  ///< suppressed repeats since the last line that passed
    };

    /// Lines that differ only in digits are treated as repeats: ports, addresses and counts vary between repeats.
    [[nodiscard]] Verdict judge(std::string_view line, Clock::time_point now = Clock::now());

    static constexpr std::uint32_t burst = 10;  ///< repeats that pass within a window
    static constexpr std::chrono::seconds window{10};

  private:
    struct Slot {
        std::uint64_t hash = 0;
        Clock::time_point since{};
        std::uint32_t passed = 0;
        std::uint64_t suppressed = 0;
    };

    std::mutex mutex_;
    std::array<Slot, 64> slots_{};  // by hash; a collision replaces the older line
};

}  // namespace flowd::core
