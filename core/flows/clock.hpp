// SPDX-License-Identifier: Apache-2.0
// core/flows/clock.hpp: where the flow table takes its time from; tests bring their own. Values in nanoseconds.
#pragma once

#include <time.h>

#include <cstdint>
#include <functional>

namespace flowd::core {

/// Two readings. Both functions are called from any thread.
struct Clock {
    std::function<std::int64_t()> steady_ns;  ///< CLOCK_MONOTONIC: ages, latencies, deadlines
    std::function<std::int64_t()> system_ns;  ///< CLOCK_REALTIME: what is told to others

    [[nodiscard]] static Clock real() {
        return {[] { return read(CLOCK_MONOTONIC); }, [] { return read(CLOCK_REALTIME); }};
    }

  private:
    static std::int64_t read(clockid_t clock) {
        timespec now{};
        clock_gettime(clock, &now);
        return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
    }
};

}  // namespace flowd::core
