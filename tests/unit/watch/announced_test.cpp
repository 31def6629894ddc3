// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/announced.hpp"

#include <gtest/gtest.h>

namespace flowd::watch {
namespace {

constexpr std::int64_t second = 1'000'000'000;

TEST(Announced, DurationsFollowTheMonotonicClock) {
    // Found by a machine that thought it was 1970, and ended after its clock was set: the second clock is not asked again.
    const Announced connection{.start_ns = 5000 * second, .start_unix_ns = 7 * second};
    EXPECT_EQ(start_of(connection)->start_time_ns, 7 * second);
    const Event end = end_of(connection, std::nullopt, 5020 * second);
    EXPECT_EQ(end->start_time_ns, 7 * second);
    EXPECT_EQ(end->end_time_ns, 27 * second);
    EXPECT_EQ(end->time_ns, end->end_time_ns);
}

TEST(Announced, NeverEndsBeforeItsStart) {
    const Announced connection{.start_ns = 5000 * second, .start_unix_ns = 7 * second};
    EXPECT_EQ(end_of(connection, std::nullopt, 4999 * second)->end_time_ns, 7 * second);
}

TEST(Announced, KernelTimesAreConvertedWithTheCurrentClock) {
    // The clocks are read one after the other, and the machine may be slow.
    const std::int64_t then = unix_time_of(monotonic_ns() - 3600 * second);
    EXPECT_NEAR(static_cast<double>(then), static_cast<double>(unix_time_ns() - 3600 * second), 10.0 * second);
}

}  // namespace
}  // namespace flowd::watch
