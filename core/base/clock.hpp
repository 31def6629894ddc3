// SPDX-License-Identifier: Apache-2.0
// core/base/clock.hpp: the two system clocks, in nanoseconds, and the clock of the flow table, which tests replace.
#pragma once

#include <time.h>

#include <cstdint>
#include <functional>

namespace flowd::core {

[[nodiscard]] inline std::int64_t read_clock(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}
/// CLOCK_MONOTONIC: ages, latencies, deadlines.
[[nodiscard]] inline std::int64_t steady_ns() {
    return read_clock(CLOCK_MONOTONIC);
}
/// CLOCK_REALTIME: times in events, files and messages.
[[nodiscard]] inline std::int64_t unix_ns() {
    return read_clock(CLOCK_REALTIME);
}

/// The clock of the flow table. Both functions may be called from any thread.
struct Clock {
    std::function<std::int64_t()> steady_ns;
    std::function<std::int64_t()> system_ns;

    [[nodiscard]] static Clock real() { return {core::steady_ns, core::unix_ns}; }
};

}  // namespace flowd::core
