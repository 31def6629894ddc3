// SPDX-License-Identifier: Apache-2.0
// case C02: flows with a tag that the registry does not have are counted by tag, and logged at intervals.
#include "core/service/unregistered_tags.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flowd::core::test {
namespace {

using ::testing::HasSubstr;

struct UnregisteredTagsTest : ::testing::Test {
    std::optional<std::string> add(std::uint32_t experiment, std::uint32_t activity, std::uint64_t started = 1) {
        return tags_.add({MinuteSum{.tag = {experiment, activity}, .started = started}}, registry_, now_ns_);
    }

    Registry registry_ = *Registry::parse(
        R"({"experiments": [{"expName": "cms", "expId": 3, "activities": [{"activityName": "Debug", "activityId": 14}]},
                            {"expName": "lhcb", "expId": 4}]})");
    std::int64_t now_ns_ = 1;
    UnregisteredTags tags_;
};

TEST_F(UnregisteredTagsTest, RegisteredAndAbsentTagsAreNotCounted) {
    EXPECT_FALSE(add(3, 14));
    EXPECT_FALSE(add(0, 0)) << "no valid tag, on purpose";
    EXPECT_FALSE(add(4, 57, 0)) << "no flow has started";
    EXPECT_FALSE(add(FLOWD_TAG_OTHER, FLOWD_TAG_OTHER)) << "the sum of tags that are not distinguished";
    EXPECT_TRUE(tags_.metrics().empty());
    registry_ = Registry();
    EXPECT_FALSE(add(4, 57)) << "there is nothing to compare with";
}

TEST_F(UnregisteredTagsTest, AreCountedByTagAndNamedOnceInAPeriod) {
    EXPECT_EQ(add(4, 57, 2), "flows have a tag that is not in the registry: experiment lhcb (4), activity 57 (2 flows)");
    EXPECT_FALSE(add(4, 57));
    EXPECT_FALSE(add(3, 206));
    now_ns_ += UnregisteredTags::warning_period_ns;
    EXPECT_THAT(add(0, 1).value_or(""), HasSubstr("206 is a scitag: experiment cms (3), activity Debug (14)"));
    const auto counts = tags_.counts(registry_);
    ASSERT_EQ(counts.size(), 3u);
    EXPECT_EQ(counts[2].tag, "4/57");
    EXPECT_EQ(counts[2].flows, 3u);
    EXPECT_EQ(counts[1].hint, "206 is a scitag: experiment cms (3), activity Debug (14)");
}

TEST_F(UnregisteredTagsTest, AHostileSenderCannotMakeMoreSeries) {
    for (std::uint32_t activity = 100; activity < 1100; ++activity) (void)add(3, activity);
    const auto samples = tags_.metrics();
    ASSERT_EQ(samples.size(), UnregisteredTags::max_tags + 1);
    EXPECT_EQ(samples.back().labels.front(), std::make_pair(std::string("activity"), std::string("other")));
    EXPECT_EQ(samples.back().value, 1000 - UnregisteredTags::max_tags);
    now_ns_ += UnregisteredTags::warning_period_ns;
    EXPECT_LT(add(3, 99).value_or("").size(), 600u);
}

}  // namespace
}  // namespace flowd::core::test
