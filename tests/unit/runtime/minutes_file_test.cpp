// SPDX-License-Identifier: Apache-2.0
#include "core/service/minutes_file.hpp"

#include <gtest/gtest.h>

namespace flowd::core {
namespace {

constexpr std::int64_t now = 30'000'000;  // minutes

MinuteSum sum_of(std::uint32_t experiment, std::uint64_t started) {
    return {{experiment, 16}, FLOWD_LOCAL_SOURCE, started, 1, ~std::uint64_t{0}, 2};
}

TEST(MinutesFile, WhatIsPrintedIsParsed) {
    Minutes minutes;
    minutes.add(now - 1, {sum_of(2, 3), sum_of(FLOWD_TAG_OTHER, 4)});
    minutes.add(now, {sum_of(2, 5)});
    const std::string text = print_minutes(minutes);
    Minutes read;
    ASSERT_TRUE(parse_minutes(text, now, read));
    EXPECT_EQ(print_minutes(read), text);
    Minutes empty;
    ASSERT_TRUE(parse_minutes(print_minutes(Minutes()), now, empty));
}

TEST(MinutesFile, EveryDamagedByteIsNoticedAndNothingIsTaken) {
    Minutes minutes;
    minutes.add(now, {sum_of(2, 3)});
    const std::string text = print_minutes(minutes);
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string damaged = text;
        damaged[i] = static_cast<char>(damaged[i] ^ 1);
        Minutes read;
        EXPECT_FALSE(parse_minutes(damaged, now, read)) << damaged;
        EXPECT_EQ(read.changes(), 0u);
        EXPECT_FALSE(parse_minutes(text.substr(0, i), now, read));
    }
    Minutes read;
    EXPECT_EQ(parse_minutes("flowd-history 2\nend 0\n", now, read).error().code, FLOWD_UNSUPPORTED);
}

TEST(MinutesFile, MinutesOfTheFutureAndOfYesterdayAreIgnored) {
    Minutes minutes;
    minutes.add(now, {sum_of(2, 3)});
    const std::string text = print_minutes(minutes);
    Minutes read;
    ASSERT_TRUE(parse_minutes(text, now - 1, read));
    ASSERT_TRUE(parse_minutes(text, now + Minutes::kept, read));
    EXPECT_EQ(read.changes(), 0u);
}

TEST(MinutesFile, TheOldestMinutesAreLeftOutBeyondFourMebibytes) {
    Minutes minutes;
    for (std::int64_t minute = now - Minutes::kept + 1; minute <= now; ++minute) {
        std::vector<MinuteSum> rows;
        for (std::uint32_t i = 0; i < MinuteSums::max_rows - 1; ++i) {
            rows.push_back(
                {{4'000'000'000U + i, 4'000'000'000U}, 1, ~std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0}, 1});
        }
        minutes.add(minute, rows);
    }
    const std::string text = print_minutes(minutes);
    EXPECT_LE(text.size(), 4u << 20);
    Minutes read;
    ASSERT_TRUE(parse_minutes(text, now, read));
    std::int64_t last = 0;
    read.visit(0, [&](std::int64_t minute, const MinuteSum&) { return (last = minute) > 0; });
    EXPECT_EQ(last, now);
}

}  // namespace
}  // namespace flowd::core
