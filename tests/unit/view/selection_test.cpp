// SPDX-License-Identifier: Apache-2.0
#include "backends/view/selection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/view/flows.hpp"

namespace flowd::view {
namespace {

using test::flow_of;
using test::moved;
using ::testing::HasSubstr;

class SelectionTest : public ::testing::Test {
  protected:
    static Selection parsed(std::string_view filter, std::string_view order = "") {
        return Selection::parse(filter, order, Registry()).value();
    }
    static void walk(Selection& selection, const std::vector<flowd_flow>& flows, const Rate& rate = {}) {
        selection.begin();
        for (const flowd_flow& flow : flows) selection.take(flow, rate, 0);
        selection.end();
    }
    std::string changes(const Selection& selection) {
        std::string out;
        json::Writer writer(out);
        writer.object();
        selection.write_changes(writer, sent_, Registry());
        writer.end();
        return out;
    }
    Selection::Sent sent_;
};

TEST_F(SelectionTest, OnlyChangesAreWritten) {
    Selection selection = parsed("");
    walk(selection, {flow_of(1), flow_of(2)});
    const std::string first = changes(selection);
    EXPECT_THAT(first, HasSubstr(R"(["1","tcp","2001:db8:1::1",1,"2001:db8:2::2",1094,2,3,)"));
    EXPECT_THAT(first, HasSubstr(R"(["2","tcp")"));
    EXPECT_THAT(first, HasSubstr(R"("gone":[])"));
    walk(selection, {flow_of(1), flow_of(2)});
    EXPECT_EQ(changes(selection), R"({"set":[],"gone":[]})");
    walk(selection, {moved(flow_of(1), 7, 8), flow_of(3)});
    const std::string second = changes(selection);
    EXPECT_THAT(second, HasSubstr(R"(["1","tcp")"));
    EXPECT_THAT(second, HasSubstr(R"(["3","tcp")"));
    EXPECT_THAT(second, HasSubstr(R"("gone":["2"])"));
}

TEST_F(SelectionTest, APageThatMissedUpdatesIsSentAllOfThemLater) {
    Selection selection = parsed("");
    walk(selection, {flow_of(1), flow_of(2)});
    (void)changes(selection);
    walk(selection, {flow_of(2), flow_of(3)});
    walk(selection, {moved(flow_of(2), 1, 1), flow_of(3), flow_of(4)});
    walk(selection, {moved(flow_of(2), 1, 1), flow_of(4)});
    const std::string text = changes(selection);
    EXPECT_THAT(text, HasSubstr(R"(["2","tcp")"));
    EXPECT_THAT(text, HasSubstr(R"(["4","tcp")"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr(R"(["3","tcp")"))) << "it came and went in between";
    EXPECT_THAT(text, HasSubstr(R"("gone":["1"])"));
}

TEST_F(SelectionTest, TheFilterSelects) {
    Selection selection = parsed("experiment=5");
    walk(selection, {flow_of(1), flow_of(2, {5, 1})});
    EXPECT_EQ(selection.matched(), 1u);
    const auto wrong = Selection::parse("experimnt=5", "", Registry());
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().message, HasSubstr("column 1"));
    EXPECT_FALSE(Selection::parse("", "sideways", Registry()));
}

TEST_F(SelectionTest, OfVeryManyFlowsTheFirstInTheOrderAreShownAndAllAreCounted) {
    for (const auto& [order, first, last] : {std::tuple("new", 30'001, 40'000), std::tuple("old", 1, 10'000)}) {
        Selection selection = parsed("", order);
        selection.begin();
        for (std::uint16_t n = 1; n <= 40'000; ++n) selection.take(flow_of(n), {}, 0);
        selection.end();
        EXPECT_EQ(selection.matched(), 40'000u);
        EXPECT_EQ(selection.shown(), Selection::most_rows);
        Selection::Sent sent;
        std::string out;
        json::Writer writer(out);
        writer.object();
        selection.write_changes(writer, sent, Registry());
        writer.end();
        EXPECT_TRUE(sent.ids.contains(static_cast<std::uint64_t>(first)) &&
                    sent.ids.contains(static_cast<std::uint64_t>(last)));
        EXPECT_EQ(sent.ids.size(), Selection::most_rows);
    }
}

}  // namespace
}  // namespace flowd::view
