// SPDX-License-Identifier: Apache-2.0
// What `flows` and `observe` print. The golden screens are in tests/data/screens; FLOWD_WRITE_SCREENS=1 writes them.
#include "core/cli/flows_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/cli/flows.hpp"
#include "core/cli/table.hpp"
#include "flowd/json.hpp"

namespace flowd::core::cli {
namespace {

/// The daemon's answer for a thousand flows, of which so many are sent.
std::string answer(std::size_t shown, bool ended = false) {
    std::string out;
    json::Writer w(out);
    w.object().member("live", 1000);
    if (ended) w.member("ended", 1000);
    w.member("matched", 1000).key("flows").array();
    for (std::size_t i = 0; i < shown; ++i) {
        const std::uint64_t bytes = 7'654'321'000 / (i + 1);
        w.object();
        w.member("source", i % 3 == 0 ? "192.0.2.1:" + std::to_string(40000 + i)
                                      : "[2001:db8:1234:5678:9abc:def0:1:2]:" + std::to_string(40000 + i));
        w.member("destination", "[2001:db8::" + std::to_string(i) + "]:1094")
            .member("protocol", i % 5 == 0 ? "udp" : "tcp");
        w.member("experiment", i % 2 == 0 ? "atlas" : "cms").member("activity", i % 4 == 0 ? "Data Transfer" : "default");
        w.member("experimentId", 2)
            .member("activityId", 16)
            .member("start", "2026-11-26T10:00:00.000Z")
            .member("announcers", 1);
        w.member("bytesSent", bytes).member("bytesReceived", i * 10);
        w.member("application", i == 1 ? "<img src=x onerror=1>\x1b[31m\xe2\x80\xae" : "xrootd")
            .member("announcer", "fireflyp/regional");
        w.member("rule", "").member("id", i + 1).member("marked", i % 3 != 0);
        w.member("ageSeconds", 45.0 + static_cast<double>(i * i) * 60)
            .member("bytesPerSecond", static_cast<double>(bytes) / 100);
        if (ended) w.member("end", "2026-11-26T11:00:00.000Z").member("endReason", "announced");
        w.end();
    }
    w.end().member("shown", shown).end();
    return out;
}

void expect_screen(const std::string& name, const std::string& screen) {
    const std::string file = std::string(FLOWD_SOURCE_DIR) + "/tests/data/screens/" + name;
    if (std::getenv("FLOWD_WRITE_SCREENS") != nullptr) std::ofstream(file) << screen;
    std::ostringstream golden;
    golden << std::ifstream(file).rdbuf();
    EXPECT_EQ(screen, golden.str()) << name;
}

FlowsCommand sorted_by_bytes() {
    FlowsCommand command;
    command.sort = "bytes";
    return command;
}

TEST(FlowsWatch, AThousandFlowsFillAScreenOfAnySize) {
    const FlowsWatch watch(sorted_by_bytes());
    for (const auto& [columns, rows] : {std::pair<std::size_t, std::size_t>{80, 24}, {200, 50}, {40, 10}}) {
        const std::string screen = watch.screen(answer(rows - 4), "", columns, rows);
        std::istringstream lines(screen);
        std::size_t count = 0;
        for (std::string line; std::getline(lines, line); ++count) {
            EXPECT_LE(text_width(line), std::max<std::size_t>(columns, 80)) << line;
        }
        EXPECT_EQ(count, rows);
        if (columns >= 80) expect_screen("flows-" + std::to_string(columns) + "x" + std::to_string(rows), screen + "\n");
    }
}

// case C02
TEST(FlowsView, ATagThatIsNotInTheRegistryIsShownAsSuch) {
    std::string json;
    json::Writer w(json);
    w.object().member("live", 1).member("matched", 1).member("shown", 1).key("flows").array().object();
    w.member("experiment", "lhcb").member("activity", "57").member("registered", false).end().end().end();
    EXPECT_NE(flows_table(json, {}).find("lhcb/57 (unregistered)"), std::string::npos);
}

TEST(FlowsWatch, KeysChangeTheQuestion) {
    FlowsWatch watch(sorted_by_bytes());
    EXPECT_EQ(watch.question(24), (control::Arguments{"flows", "20", "sort=bytes"}));
    EXPECT_EQ(watch.key('s'), FlowsWatch::Next::ask);
    EXPECT_EQ(watch.key('e'), FlowsWatch::Next::ask);
    EXPECT_EQ(watch.question(2), (control::Arguments{"flows", "1", "ended", "sort=sent"}));
    for (int i = 0; i < 9; ++i) (void)watch.key('s');
    EXPECT_EQ(watch.question(24).back(), "sort=sent") << "the orders are a cycle";
    EXPECT_EQ(watch.key('/'), FlowsWatch::Next::wait);
    for (const char key : {'p', 'o', 'x', '\x7f', 'r', 't', '=', '1', 'q'})
        EXPECT_EQ(watch.key(key), FlowsWatch::Next::wait);
    EXPECT_EQ(watch.question(24).size(), 4u) << "not yet";
    EXPECT_EQ(watch.key('\r'), FlowsWatch::Next::ask);
    EXPECT_EQ(watch.question(24).back(), "filter=port=1q");
    (void)watch.key('/');
    (void)watch.key('2');
    (void)watch.key('\x1b');
    EXPECT_EQ(watch.question(24).back(), "filter=port=1q") << "Escape discards what was written";
    EXPECT_EQ(watch.key('p'), FlowsWatch::Next::wait);
    EXPECT_TRUE(watch.is_paused());
    EXPECT_EQ(watch.key('q'), FlowsWatch::Next::end);
    EXPECT_EQ(FlowsWatch({}).key('\x03'), FlowsWatch::Next::end);
}

TEST(FlowsView, ATableInAPipeIsAsWideAsItsContent) {
    const std::string table = flows_table(answer(2), {});
    EXPECT_NE(table.find("[2001:db8:1234:5678:9abc:def0:1:2]:40001"), std::string::npos);
    EXPECT_NE(table.find("2 shown, 1000 match, 1000 live\n"), std::string::npos);
    EXPECT_EQ(table.find("APPLICATION"), std::string::npos);
    const std::string wide = flows_table(answer(2, true), {.width = 80, .wide = true, .ended = true});
    EXPECT_NE(wide.find("<img src=x onerror=1>\\x1b[31m\\u202e"), std::string::npos) << wide;
    EXPECT_NE(wide.find("announced"), std::string::npos);
}

TEST(FlowsView, OneGroupIsNamedInTheSingular) {
    std::string json;
    json::Writer w(json);
    w.object().member("live", 1).member("matched", 1).key("groups").array().object();
    w.member("group", "tcp/1094").member("flows", 1).end().end().end();
    EXPECT_NE(flows_table(json, {}).find("\n1 group shown, 1 match, 1 live\n"), std::string::npos) << flows_table(json, {});
}

TEST(FlowsView, LongTextsKeepTheirEnds) {
    EXPECT_EQ(shortened("[2001:db8::1]:40000", 19), "[2001:db8::1]:40000");
    EXPECT_EQ(shortened("[2001:db8::1]:40000", 11),
              "[2001\xe2\x80\xa6"
              "40000");
    EXPECT_EQ(shortened("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f", 3), "\xc3\xa4\xe2\x80\xa6\xc3\x9f");
    EXPECT_EQ(shortened("abc", 1), "\xe2\x80\xa6");
    EXPECT_EQ(shortened("abc", 0), "");
}

TEST(FlowsView, NumbersAreShort) {
    EXPECT_EQ(compact_count(0), "0");
    EXPECT_EQ(compact_count(999), "999");
    EXPECT_EQ(compact_count(1234), "1.2k");
    EXPECT_EQ(compact_count(999'960), "1.0M");
    EXPECT_EQ(compact_count(1.8e19), "18.0E");
    EXPECT_EQ(compact_age(59.9), "59s");
    EXPECT_EQ(compact_age(750), "12m30s");
    EXPECT_EQ(compact_age(3720), "1h02m");
    EXPECT_EQ(compact_age(273'600), "3d04h");
    EXPECT_EQ(compact_age(-5), "0s");
}

TEST(FlowsView, MalformedAnswersAreShownAsText) {
    EXPECT_EQ(flows_table("{\x1b", {}), "{\\x1b\n");
    EXPECT_EQ(flows_csv("[]"), "");
    EXPECT_FALSE(observed_lines("{}", false));
}

TEST(FlowsView, AnEventIsALine) {
    const std::string json =
        R"({"events":[{"sequence":1,"time":"T","event":"refusal","instance":"plugin fireflyp","reason":"bad_json","sender":"[::1]:5",)"
        R"("firstBytes":"\\x01{","suppressed":3},{"sequence":2,"time":"T","event":"retag","formerExperiment":"cms",)"
        R"("formerActivity":"default","flow":{"protocol":"tcp","source":"a:1","destination":"b:2","experiment":"atlas",)"
        R"("activity":"x","announcer":"api","application":"\u202e","marked":true}}],"lost":4,"next":3})";
    const auto observed = observed_lines(json, false);
    ASSERT_TRUE(observed);
    EXPECT_EQ(observed->lines,
              "T refusal plugin fireflyp: bad_json, from [::1]:5: \\x01{ (after 3 more)\n"
              "T retag   tcp a:1 -> b:2 atlas/x, was cms/default, api, \\u202e\n");
    EXPECT_EQ(observed->lost, 4u);
    EXPECT_EQ(observed->next, 3u);
    EXPECT_NE(observed_lines(json, true)->lines.find("\"application\":\"\\u202e\""), std::string::npos);
}

}  // namespace
}  // namespace flowd::core::cli
