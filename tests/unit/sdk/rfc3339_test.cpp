// SPDX-License-Identifier: Apache-2.0
#include "flowd/rfc3339.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace flowd {
namespace {

constexpr std::int64_t time_ns = 1'771'952'202'251'384'999;

TEST(Rfc3339, IsUtcWithTheDigitsThatAreAskedForRoundedDown) {
    EXPECT_EQ(rfc3339(time_ns), "2026-02-24T16:56:42.251384Z");
    EXPECT_EQ(rfc3339(time_ns, 0), "2026-02-24T16:56:42Z");
    EXPECT_EQ(rfc3339(time_ns, 3), "2026-02-24T16:56:42.251Z");
    EXPECT_EQ(rfc3339(time_ns, 9), "2026-02-24T16:56:42.251384999Z");
    EXPECT_EQ(rfc3339(time_ns, 20), "2026-02-24T16:56:42.251384999Z") << "a nanosecond is the finest unit";
}

TEST(Rfc3339, WritesAnOffsetIntoACallersBuffer) {
    char buffer[rfc3339_length];
    EXPECT_EQ(rfc3339(time_ns, buffer, 6, "+00:00"), "2026-02-24T16:56:42.251384+00:00");
    EXPECT_EQ(rfc3339(time_ns, buffer, 9, "+00:00"), "2026-02-24T16:56:42.251384999+00:00") << "the longest text";
    EXPECT_EQ(rfc3339(time_ns, buffer, 9, "longer than any offset").size(), rfc3339_length) << "bounded by the buffer";
}

TEST(Rfc3339, HoldsAtTheLimits) {
    EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000Z");
    EXPECT_EQ(rfc3339(-1), "1970-01-01T00:00:00.000000Z");
    EXPECT_EQ(rfc3339(951'782'400'000'000'000, 0), "2000-02-29T00:00:00Z");
    EXPECT_EQ(rfc3339(std::numeric_limits<std::int64_t>::max(), 9), "2262-04-11T23:47:16.854775807Z");
}

}  // namespace
}  // namespace flowd
