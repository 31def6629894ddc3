// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/lint.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "lib/firefly/timestamp.hpp"
#include "tests/unit/firefly/fixtures.hpp"

namespace flowd::firefly_backend {
namespace {

namespace fixtures = firefly::fixtures;
using fixtures::with;

const std::string start(fixtures::dcache_start);
const std::string end(fixtures::dcache_end);

struct Sent {
    std::string text;
    std::int64_t late_ns = 0;
    bool is_fragment = false;
};

/// Each datagram arrives at the current-time of its firefly, unless it is late.
Emitter lint(const std::vector<Sent>& sent) {
    Lint lint([](flowd_tag tag) { return tag.experiment == 2; });
    for (const Sent& one : sent) {
        const bool is_start = one.text.find(R"("state":"start")") != std::string::npos;
        const auto now = firefly::parse_timestamp(is_start ? "2026-07-22T10:50:10.2Z" : "2026-07-22T10:51:10Z").value();
        lint.take({one.text, fixtures::endpoint("2001:db8::1", 5000), fixtures::endpoint("2001:db8::c", 10514),
                   now + one.late_ns, one.is_fragment});
    }
    const auto emitters = lint.finish();
    EXPECT_EQ(emitters.size(), 1u);
    return emitters.empty() ? Emitter{} : emitters.front();
}

std::set<std::string_view> faults_of(const Emitter& emitter) {
    std::set<std::string_view> ids;
    for (std::size_t i = 0; i < fault_count; ++i)
        if (emitter.faults[i].count > 0) ids.insert(text_of(static_cast<Fault>(i)).id);
    return ids;
}

std::string numbered(const std::string& text, int seq) {
    return text.substr(0, text.size() - 1) + R"(,"flowd":{"boot":"0123456789abcdef","stream":1,"seq":)" +
           std::to_string(seq) + R"(,"origin":"0123456789abcdef","hops":0}})";
}

TEST(Lint, FindsNoFaultInAWholeFlow) {
    const Emitter emitter = lint({{numbered(start, 1)}, {numbered(end, 2)}});
    EXPECT_EQ(faults_of(emitter), std::set<std::string_view>());
    EXPECT_EQ(emitter.grade(), 'A');
    EXPECT_EQ(emitter.name, "2001:db8::1 dCache");
    EXPECT_EQ(emitter.address, "2001:db8::1");
    EXPECT_EQ(emitter.states, (std::array<std::uint64_t, 4>{0, 1, 0, 1}));
}

struct Case {
    std::string_view fault;
    std::vector<Sent> sent;
    char grade;
    friend std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.fault; }
};

std::vector<Case> cases() {
    const std::string header = "<134>1 2026-07-22T10:51:10Z ";
    const auto in_both = [](std::string_view piece, std::string_view other) {
        return std::vector<Sent>{{with(piece, other, start)}, {with(piece, other, end)}};
    };
    const auto end_with = [](std::string_view piece, std::string_view other) {
        return std::vector<Sent>{{start}, {with(piece, other, end)}};
    };
    const std::string swapped =
        with(R"("src-ip":"2001:db8::1","dst-ip":"2001:db8:1::2","protocol":"tcp","src-port":35358,"dst-port":20100)",
             R"("src-ip":"2001:db8:1::2","dst-ip":"2001:db8::1","protocol":"tcp","src-port":20100,"dst-port":35358)", end);
    return {
        {"unreadable", {{start}, {end}, {with(R"("state":"end")", R"("state":"stop")", end)}}, 'D'},
        {"no-header", {{start.substr(start.find('{'))}, {end.substr(end.find('{'))}}, 'F'},
        {"no-header-time", end_with(header, "<134>1  "), 'D'},
        {"fragmented", {{start}, {end}, {end.substr(0, 200), 0, true}}, 'D'},
        {"too-large", end_with(R"("version":1,)", R"("version":1,"x":")" + std::string(1500, 'x') + R"(",)"), 'D'},
        {"swapped-direction", {{start}, {swapped}}, 'D'},
        {"nil-header-time", end_with(header, "<134>1 - "), 'C'},
        {"no-start-time", end_with(R"("start-time":"2026-07-22T10:50:10.123Z")", R"("start-time":null)"), 'C'},
        {"no-end-time", end_with(R"("end-time":"2026-07-22T10:51:09.876Z")", R"("end-time":"")"), 'C'},
        {"no-current-time", end_with(R"("current-time":"2026-07-22T10:51:10Z",)", ""), 'C'},
        {"time-order", end_with("10:51:09.876Z", "10:49:09.876Z"), 'C'},
        {"clock-skew", {{start}, {end, 62'000'000'000}}, 'C'},
        {"start-without-end", {{start}}, 'C'},
        {"end-without-start", {{end}}, 'C'},
        {"duplicate", {{start}, {start}, {end}}, 'C'},
        {"gap", {{numbered(start, 1)}, {numbered(end, 3)}}, 'C'},
        {"tag-changed", end_with(R"("activity-id":16)", R"("activity-id":15)"), 'C'},
        {"unregistered-tag", in_both(R"("experiment-id":2)", R"("experiment-id":23)"), 'C'},
        {"address-form", in_both(R"("dst-ip":"2001:db8:1::2")", R"("dst-ip":"2001:DB8:1::2")"), 'C'},
        {"no-usage", end_with(R"("usage":{"received":0,"sent":5368709120},)", ""), 'B'},
        {"no-tag", in_both(R"("experiment-id":2,"activity-id":16)", R"("experiment-id":0,"activity-id":0)"), 'B'},
    };
}

class LintFault : public ::testing::TestWithParam<Case> {};

TEST_P(LintFault, IsFoundAloneAndHasARemedy) {
    const Case& one = GetParam();
    for (const Sent& sent : one.sent) ASSERT_EQ(sent.text.find("no such piece"), std::string::npos) << sent.text;
    const Emitter emitter = lint(one.sent);
    EXPECT_EQ(faults_of(emitter), std::set<std::string_view>{one.fault});
    EXPECT_EQ(emitter.grade(), one.grade);
    for (std::size_t i = 0; i < fault_count; ++i)
        if (const auto& text = text_of(static_cast<Fault>(i)); text.id == one.fault) {
            EXPECT_FALSE(text.remedy.empty());
            EXPECT_FALSE(emitter.faults[i].example.empty());
        }
}

INSTANTIATE_TEST_SUITE_P(Each, LintFault, ::testing::ValuesIn(cases()));

TEST(Lint, HasACaseForEachFault) {
    std::set<std::string_view> tested;
    for (const Case& one : cases()) tested.insert(one.fault);
    EXPECT_EQ(tested.size(), fault_count);
}

TEST(Lint, GradesFWhenMostFirefliesHaveAnError) {
    EXPECT_EQ(lint({{start}, {with("<134>1 2026-07-22T10:51:10Z ", "<134>1  ", end)}}).grade(), 'D');
    EXPECT_EQ(lint({{"garbage {"}}).grade(), 'F');
}

TEST(Lint, JudgesEachEmitterByItselfAndListsTheWorstFirst) {
    Lint lint({});
    for (const std::string& text : {start, end}) lint.take({text});
    lint.take({fixtures::flowd_go_end});
    lint.take({"Feb  1 18:54:27 log1 1 2026-07-22T10:50:10Z se3 flowd - firefly-json - " + start.substr(start.find('{'))});
    const auto emitters = lint.finish();
    ASSERT_EQ(emitters.size(), 3u);
    EXPECT_EQ(emitters[0].name, "se2.example.org flowd-go-2.4.2");
    EXPECT_EQ(emitters[0].grade(), 'F');
    EXPECT_EQ(emitters[1].name, "se3 flowd") << "a syslog server's own words are skipped";
    EXPECT_EQ(faults_of(emitters[1]), std::set<std::string_view>{"start-without-end"});
    EXPECT_EQ(emitters[2].name, "2001:db8::1 dCache");
}

TEST(Lint, ReordersWithoutAGapAndTakesPortReuseForANewFlow) {
    EXPECT_EQ(faults_of(lint({{numbered(start, 1)},
                              {numbered(end, 3)},
                              {numbered(with("20100", "20101", start), 2)},
                              {numbered(with("20100", "20101", end), 4)}})),
              std::set<std::string_view>());
    const Emitter twice = lint({{start}, {end}, {start}, {with("10:51:09.876Z", "10:51:09.976Z", end)}});
    EXPECT_EQ(faults_of(twice), std::set<std::string_view>());
}

TEST(Lint, BoundsWhatItKeepsOfHostileInput) {
    Lint lint({});
    for (int i = 0; i < 3000; ++i)
        lint.take({"<134>1 2026-07-22T10:50:10Z host" + std::to_string(i) + " p - firefly-json - {"});
    lint.take({"<134>1 2026-07-22T10:50:10Z host " + std::string(5000, 'p') + " - firefly-json - {"});
    const auto emitters = lint.finish();
    EXPECT_LE(emitters.size(), 1001u);
    for (const Emitter& emitter : emitters) EXPECT_LE(emitter.name.size(), 128u);
}

}  // namespace
}  // namespace flowd::firefly_backend
