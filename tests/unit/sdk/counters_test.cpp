// SPDX-License-Identifier: Apache-2.0
#include "flowd/counters.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "flowd/testing/fake_host.hpp"

namespace flowd {
namespace {

class CountersTest : public ::testing::Test {
  protected:
    [[nodiscard]] static std::string status(const Counters& counters) {
        std::string text;
        json::Writer writer(text);
        writer.object();
        counters.status(writer);
        writer.end();
        return text;
    }

    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = Host::make(fake_.raw()).value();
    std::uint64_t lines_ = 0;
    std::array<std::uint64_t, 3> refused_{};
    static constexpr std::array<std::string_view, 3> reasons{"none", "too_long", "bad_state"};
};

TEST_F(CountersTest, AreSeriesAndMembersOfTheStatus) {
    Counters counters(*host_, {{"lines", "lines_total", "Lines read.", &lines_}});
    lines_ = 3;
    EXPECT_EQ(fake_.metric("lines_total")->type, std::uint32_t{FLOWD_METRIC_COUNTER});
    EXPECT_EQ(fake_.metric("lines_total")->value, 0) << "it is there from the start";
    EXPECT_EQ(status(counters), R"({"lines":3})") << "the status needs no publishing";
    counters.publish();
    EXPECT_EQ(fake_.metric("lines_total")->value, 3);
}

TEST_F(CountersTest, AreGaugesUnlessTheirNameEndsInTotal) {
    Counters counters(*host_, {{"live", "live", "Flows that are live.", [this] { return lines_ + 1; }}});
    counters.publish();
    EXPECT_EQ(fake_.metric("live")->type, std::uint32_t{FLOWD_METRIC_GAUGE});
    EXPECT_EQ(fake_.metric("live")->value, 1);
}

TEST_F(CountersTest, MayBeOnlySeriesOrOnlyStatus) {
    Counters counters(*host_, {{"bytes", &lines_}, {"", "hidden_total", "Not in the status.", &lines_}});
    EXPECT_EQ(status(counters), R"({"bytes":0})");
    EXPECT_FALSE(fake_.metric("bytes"));
    EXPECT_TRUE(fake_.metric("hidden_total"));
}

TEST_F(CountersTest, HaveASeriesForEachValueOfALabel) {
    Counters counters(*host_, {{"refused", Counters::sum(refused_)},
                               {"all", "all_total", "By reason.", Counters::by("reason", reasons, refused_, 1)},
                               {"some", Counters::by("reason", reasons, refused_, 1).without_zeros()},
                               {"", Counters::by("reason", reasons, refused_, 1).flat()}});
    EXPECT_TRUE(fake_.metric(R"(all_total{reason="bad_state"})"));
    EXPECT_FALSE(fake_.metric(R"(all_total{reason="none"})"));
    refused_ = {0, 0, 2};
    counters.publish();
    EXPECT_EQ(fake_.metric(R"(all_total{reason="bad_state"})")->value, 2);
    EXPECT_EQ(status(counters), R"({"refused":2,"all":{"too_long":0,"bad_state":2},"some":{"bad_state":2},)"
                                R"("too_long":0,"bad_state":2})");
}

TEST_F(CountersTest, MayHaveSeriesThatAppearLater) {
    std::map<unsigned, std::uint64_t> answers;
    Counters counters(*host_, {{"answers", "answers_total", "By status code.",
                                Counters::Source("code", [&](const Counters::Visit& visit) {
                                    for (const auto& [code, count] : answers) visit(std::to_string(code), count);
                                })}});
    EXPECT_EQ(status(counters), R"({"answers":{}})");
    answers[404] = 5;
    counters.publish();
    EXPECT_EQ(fake_.metric(R"(answers_total{code="404"})")->value, 5);
    EXPECT_EQ(status(counters), R"({"answers":{"404":5}})");
}

TEST_F(CountersTest, CarryTheLabelsOfTheTableAndOfTheRow) {
    Counters counters(*host_, {{"x", "x_total", "X.", &lines_, {{"direction", "out"}}}}, {{"bind", "[::1]:1"}});
    EXPECT_TRUE(fake_.metric(R"(x_total{bind="[::1]:1",direction="out"})"));
}

TEST_F(CountersTest, ShowFlagsAsBooleans) {
    const Counters counters(*host_, {{"paused", [this] { return lines_ > 0; }}});
    EXPECT_EQ(status(counters), R"({"paused":false})");
    lines_ = 1;
    EXPECT_EQ(status(counters), R"({"paused":true})");
}

TEST_F(CountersTest, EndWithTheirTable) {
    { const Counters counters(*host_, {{"x", "x_total", "X.", &lines_}}); }
    EXPECT_FALSE(fake_.metric("x_total"));
}

}  // namespace
}  // namespace flowd
