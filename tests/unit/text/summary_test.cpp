// SPDX-License-Identifier: Apache-2.0
#include "lib/text/summary.hpp"

#include <gtest/gtest.h>

namespace flowd::text {
namespace {

TEST(SummaryTest, NamesEverythingThatFits) {
    EXPECT_EQ(summary("marks on", {"eth0"}), "marks on eth0");
    EXPECT_EQ(summary("listens on", {"[::1]:10514", "127.0.0.1:10514"}), "listens on [::1]:10514 and 127.0.0.1:10514");
    EXPECT_EQ(summary("marks on", {"eth0", "eth1", "eth2"}), "marks on eth0, eth1 and eth2");
}

TEST(SummaryTest, CountsWhatDoesNotFit) {
    EXPECT_EQ(summary("listens on", {"[2001:db8:1:2:3:4:5:6]:10514", "[2001:db8:1:2:3:4:5:7]:10514"}),
              "listens on [2001:db8:1:2:3:4:5:6]:10514 and 1 more");
    const std::vector<std::string> many(5000, "eth0");
    EXPECT_EQ(summary("marks on", many), "marks on eth0, eth0, eth0, eth0, eth0, eth0 and 4994 more");
}

TEST(SummaryTest, TruncatesAFirstNameThatDoesNotFit) {
    const std::string path = "/" + std::string(200, 'x');
    const std::string one = summary("reads", {path}), two = summary("reads", {path, path});
    EXPECT_EQ(one, "reads /" + std::string(50, 'x') + "...");
    EXPECT_EQ(two.size(), summary_columns);
    EXPECT_TRUE(two.ends_with("x... and 1 more")) << two;
}

TEST(SummaryTest, TruncatesATextAndKeepsTheRest) {
    EXPECT_EQ(fitted("collector.example.org", ": silent"), "collector.example.org: silent");
    EXPECT_EQ(fitted(std::string(200, 'x'), ": silent"), std::string(49, 'x') + "...: silent");
    EXPECT_EQ(fitted("x", std::string(60, 'y')), "..." + std::string(60, 'y')) << "a rest alone is never truncated";
}

TEST(SummaryTest, TruncatesAtACharacter) {
    std::string name;
    while (name.size() < 200) name += "\xc3\xa9";  // 2 bytes each
    for (const char* const doing : {"reads", "reads "}) {
        const std::string text = summary(doing, {name});
        EXPECT_LE(text.size(), summary_columns);
        EXPECT_TRUE(text.ends_with("\xc3\xa9...")) << text;
    }
}

}  // namespace
}  // namespace flowd::text
