// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/streak.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "flowd/testing.hpp"

namespace flowd::diag {
namespace {

// case C51
TEST(Streak, LogsOneLineAtItsBeginningAndOneAtItsEnd) {
    testing::FakeHost fake;
    const std::unique_ptr<Host> host = std::move(Host::make(fake.raw())).value();
    Streak streak(*host, "the list could not be read");
    streak.worked();
    EXPECT_TRUE(fake.lines().empty());
    for (int i = 0; i < 1000; ++i) {
        streak.failed("no reason");
        if (i % 2 == 0) streak.worked();
    }
    ASSERT_EQ(fake.lines().size(), 1u) << "also when it fails every other time";
    EXPECT_EQ(fake.lines()[0].level, FLOWD_LEVEL_WARNING);
    EXPECT_EQ(fake.lines()[0].text, "the list could not be read: no reason (logged once until it works again)");
    for (int i = 0; i < 10; ++i) streak.worked();
    ASSERT_EQ(fake.lines().size(), 2u);
    EXPECT_EQ(fake.lines()[1].text, "the list could not be read 1000 times; it works again");
    streak.failed("another");
    EXPECT_EQ(fake.lines().size(), 3u);
}

}  // namespace
}  // namespace flowd::diag
