// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/timestamp.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

namespace flowd::firefly {
namespace {

constexpr std::int64_t second = 1'000'000'000;

std::string printed(std::int64_t time) {
    std::array<char, timestamp_length> buffer;
    return std::string(print_timestamp(time, buffer));
}

TEST(Timestamp, ReadsEveryLengthOfFraction) {
    const std::int64_t whole = 1771952202 * second;  // date -d 2026-02-24T16:56:42Z +%s
    EXPECT_EQ(parse_timestamp("2026-02-24T16:56:42Z"), whole);
    EXPECT_EQ(parse_timestamp("2026-02-24T16:56:42.1Z"), whole + 100'000'000);
    EXPECT_EQ(parse_timestamp("2026-02-24T16:56:42.251384+00:00"), whole + 251'384'000);
    EXPECT_EQ(parse_timestamp("2026-02-24T16:56:42.123456789Z"), whole + 123'456'789);
}

TEST(Timestamp, TakesAnyOffsetToUtc) {
    const auto utc = parse_timestamp("2026-02-24T16:56:42Z");
    ASSERT_TRUE(utc);
    EXPECT_EQ(parse_timestamp("2026-02-24T17:56:42+01:00"), utc);
    EXPECT_EQ(parse_timestamp("2026-02-24T11:26:42-05:30"), utc);
    EXPECT_EQ(parse_timestamp("2026-02-25T02:41:42+0945"), utc);
    EXPECT_EQ(parse_timestamp("2026-02-24t16:56:42z"), utc);
    EXPECT_EQ(parse_timestamp("2026-02-24 16:56:42+00:00"), utc);
}

TEST(Timestamp, KnowsTheCalendar) {
    EXPECT_TRUE(parse_timestamp("2024-02-29T00:00:00Z"));
    EXPECT_FALSE(parse_timestamp("2026-02-29T00:00:00Z"));
    EXPECT_FALSE(parse_timestamp("2026-04-31T00:00:00Z"));
    EXPECT_EQ(parse_timestamp("2016-12-31T23:59:60Z"), parse_timestamp("2017-01-01T00:00:00Z"));
    EXPECT_EQ(parse_timestamp("1970-01-01T00:00:00Z"), 0);
}

// case C31
TEST(Timestamp, ReadsTimesOutsideItsRangeAsTheNearestInside) {
    EXPECT_EQ(parse_timestamp("1970-01-01T00:00:00+01:00"), 0) << "before Unix time";
    EXPECT_EQ(parse_timestamp("1969-12-31T23:59:59.9Z"), 0);
    EXPECT_EQ(parse_timestamp("0001-01-01T00:00:00Z"), 0);
    EXPECT_EQ(printed(parse_timestamp("2262-01-01T00:00:00Z").value()), "2261-12-31T23:59:59.999999+00:00");
    EXPECT_EQ(parse_timestamp("9999-12-31T23:59:59-23:59"), parse_timestamp("2262-01-01T00:00:00Z"));
}

// case C31
TEST(Timestamp, OfAnEventIsUnknownOnlyIfItIsAbsent) {
    EXPECT_EQ(parse_event_time(""), 0);
    EXPECT_EQ(parse_event_time("0001-01-01T00:00:00Z"), 0) << "Go's zero time";
    EXPECT_EQ(parse_event_time("1970-01-01T00:00:00Z"), 1) << "a clock that was not set yet";
    EXPECT_EQ(parse_event_time("1970-01-01T00:00:00+05:30"), 1);
    EXPECT_FALSE(parse_event_time("-"));
}

TEST(Timestamp, RefusesMalformedTimes) {
    for (const char* text :
         {"", "-", "now", "2026-02-24", "2026-02-24T16:56:42", "2026-02-24T16:56:42.Z", "2026-02-24T16:56:42.1234567890Z",
          "2026-02-24T24:00:00Z", "2026-02-24T16:60:00Z", "2026-02-24T16:56:61Z", "2026-13-01T00:00:00Z",
          "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-02-24T16:56:42Z ", "2026-02-24T16:56:42+1:00",
          "2026-02-24T16:56:42+24:00", "+026-02-24T16:56:42Z", "2026-02-24T16:56:42+00:60", "2026-2-24T16:56:42Z"})
        EXPECT_FALSE(parse_timestamp(text)) << text;
}

TEST(Timestamp, IsPrintedInUtcWithMicroseconds) {
    EXPECT_EQ(printed(1771952202 * second + 251'384'999), "2026-02-24T16:56:42.251384+00:00");
    EXPECT_EQ(printed(0), "1970-01-01T00:00:00.000000+00:00");
    EXPECT_EQ(printed(-5), "1970-01-01T00:00:00.000000+00:00");
}

TEST(Timestamp, IsReadBackAsPrinted) {
    std::mt19937_64 random(1);
    std::uniform_int_distribution<std::int64_t> times(0, 9'000'000'000'000'000'000);
    for (int i = 0; i < 20000; ++i) {
        const std::int64_t time = times(random) / 1000 * 1000;
        EXPECT_EQ(parse_timestamp(printed(time)), time);
    }
}

}  // namespace
}  // namespace flowd::firefly
