// SPDX-License-Identifier: Apache-2.0
// Every form of every known emitter, line by line: tests/data/samples, with documentation addresses.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "flowd/address.hpp"
#include "lib/firefly/blocks.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/printer.hpp"
#include "lib/firefly/timestamp.hpp"

namespace flowd::firefly {
namespace {

struct Expected {
    Refusal refusal = Refusal::none;
    State state = State::start;
    bool v4 = false;
    std::uint8_t protocol = IPPROTO_TCP;
    std::string start, end, current;  ///< "": unknown
    flowd_tag tag{2, 16};
    std::string application;
    std::string usage;   ///< "received/sent", "": not measured
    std::string blocks;  ///< names, in order
    double rtt = 0;      ///< of the netlink block, in ms; 0: none
};

std::vector<Expected> flowd_py() {
    const auto line = [](State state, std::string start, std::string end, std::string current) {
        Expected expected;
        expected.state = state;
        expected.start = std::move(start);
        expected.end = std::move(end);
        expected.current = std::move(current);
        expected.application = "flowd v1.1.7";
        return expected;
    };
    std::vector<Expected> lines{
        line(State::start, "2026-11-23T07:03:52.241520Z", "", "2026-11-23T07:03:52.243619Z"),
        line(State::end, "", "2026-11-23T07:03:57.241878Z", "2026-11-23T07:03:57.242339Z"),
        line(State::start, "2026-11-23T07:03:53.740933Z", "", "2026-11-23T07:03:53.741580Z"),
        line(State::start, "2026-11-23T07:03:55.241130Z", "", "2026-11-23T07:03:55.241610Z"),
        line(State::end, "", "2026-11-23T07:04:00.242714Z", "2026-11-23T07:04:00.243300Z"),
    };
    for (std::size_t i : {0u, 1u, 2u}) lines[i].blocks = "netlink";
    lines[0].rtt = lines[1].rtt = 0.163;
    lines[2].rtt = 0.072;
    lines[2].v4 = true;
    for (std::size_t i : {3u, 4u}) {
        lines[i].protocol = IPPROTO_UDP;
        lines[i].tag = {1, 2};
    }
    return lines;
}

std::vector<Expected> xrootd() {
    const std::string start = "2026-06-24T08:48:24.201540Z", end = "2026-06-24T08:49:24.230146Z";
    const auto line = [&](State state, bool v4, flowd_tag tag, const char* application, const char* usage, double rtt) {
        const bool ended = state == State::end;
        return Expected{Refusal::none,       state, v4,          IPPROTO_TCP, start,     ended ? end : "",
                        ended ? end : start, tag,   application, usage,       "netlink", rtt};
    };
    return {line(State::start, false, {2, 16}, "xrdcp", "518/0", 0.023),
            line(State::end, false, {2, 16}, "xrdcp", "813/10507049000", 101.053),
            line(State::end, true, {3, 14}, "http-put", "813/1050704", 0.993),
            line(State::start, true, {0, 0}, "http-tpc", "0/136", 0.061)};
}

std::vector<Expected> dcache() {
    const std::string start = "2026-07-22T10:50:10.123456Z", current = "2026-07-22T10:50:10.123456789Z";
    return {{Refusal::none, State::start, false, IPPROTO_TCP, start, "", current, {2, 16}, "https", "", "", 0},
            {Refusal::none,
             State::end,
             false,
             IPPROTO_TCP,
             "2026-07-22T10:50:10.123Z",
             "2026-07-22T10:51:09.876Z",
             "2026-07-22T10:51:10Z",
             {2, 16},
             "remotehttpsdatatransfer",
             "0/5368709120",
             "storage-stats",
             0},
            {Refusal::none, State::start, true, IPPROTO_TCP, start, "", current, {2, 16}, "xrootd", "", "", 0}};
}

std::vector<Expected> flowd_go() {
    const std::string start = "2026-02-24T16:56:42.251384Z", end = "2026-02-24T16:57:42.1Z", now = "2026-02-24T16:57:00.5Z";
    const auto line = [](State state, std::string from, std::string to, std::string current, const char* blocks,
                         double rtt) {
        return Expected{
            Refusal::none,    state, false,  IPPROTO_TCP, std::move(from), std::move(to), std::move(current), {2, 15},
            "flowd-go-2.4.2", "",    blocks, rtt};
    };
    return {line(State::start, start, "", "", "", 0),
            line(State::end, start, end, "", "", 0),
            line(State::ongoing, start, "", now, "netlink", 102.345),
            line(State::ongoing, start, "", now, "skOps", 0),
            line(State::ongoing, start, "", now, "netlink", 102.0),
            line(State::end, "", end, "", "", 0),
            line(State::start, start, "", "", "", 0)};
}

std::vector<Expected> flowd_go_bare() {
    Expected wildcard;
    wildcard.refusal = Refusal::bad_address;
    return {{Refusal::none,
             State::start,
             false,
             IPPROTO_TCP,
             "2026-02-24T16:56:42.251384Z",
             "",
             "",
             {2, 2},
             "flowd-go-2.4.2",
             "",
             "",
             0},
            wildcard};
}

struct File {
    const char* name;
    std::vector<Expected> (*lines)();
    friend std::ostream& operator<<(std::ostream& out, const File& file) { return out << file.name; }
};

class Samples : public ::testing::TestWithParam<File> {
  protected:
    static std::int64_t time(const std::string& text) { return text.empty() ? 0 : parse_timestamp(text).value(); }
    void judge(const std::string& line, const Expected& expected) {
        SCOPED_TRACE(line.substr(0, 300));
        Firefly read;
        ASSERT_EQ(parser_.parse(line, read), expected.refusal);
        if (expected.refusal != Refusal::none) return;
        EXPECT_EQ(read.state, expected.state);
        EXPECT_EQ(Address(read.key.source).is_v4(), expected.v4);
        EXPECT_EQ(read.key.protocol, expected.protocol);
        EXPECT_EQ(read.start_time_ns, time(expected.start));
        EXPECT_EQ(read.end_time_ns, time(expected.end));
        EXPECT_EQ(read.current_time_ns, time(expected.current));
        EXPECT_EQ(read.tag.experiment, expected.tag.experiment);
        EXPECT_EQ(read.tag.activity, expected.tag.activity);
        EXPECT_EQ(read.application, expected.application);
        const std::string usage = std::to_string(read.received) + "/" + std::to_string(read.sent);
        EXPECT_EQ(read.has_usage ? usage : "", expected.usage);
        std::string names;
        double rtt = 0;
        for (const Block& block : read.blocks) {
            names += block.name;
            const auto normal = reader_.normalise(block.name, block.json);
            ASSERT_TRUE(normal);
            rtt += normal->rtt_ms.value_or(0);
        }
        EXPECT_EQ(names, expected.blocks);
        EXPECT_DOUBLE_EQ(rtt, expected.rtt);
        // What is understood can be said again, and says the same.
        if (read.current_time_ns == 0) read.current_time_ns = 1;
        const std::string printed(printer_.print(read).text);
        Firefly again;
        ASSERT_EQ(parser_.parse(printed, again), Refusal::none) << printed;
        EXPECT_EQ(again.state, expected.state);
        EXPECT_EQ(again.tag.experiment, expected.tag.experiment);
    }
    Parser parser_;
    BlockReader reader_;
    Printer printer_{PrinterOptions{}};
};

TEST_P(Samples, AreUnderstoodLineByLine) {
    const char* const folder = std::getenv("FLOWD_SAMPLES");
    ASSERT_NE(folder, nullptr);
    std::ifstream file(std::string(folder) + "/" + GetParam().name);
    ASSERT_TRUE(file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        if (!line.starts_with('#')) lines.push_back(line);
    const auto expected = GetParam().lines();
    ASSERT_EQ(lines.size(), expected.size());
    for (std::size_t i = 0; i < lines.size(); ++i) judge(lines[i], expected[i]);
}

INSTANTIATE_TEST_SUITE_P(OfEachEmitter, Samples,
                         ::testing::Values(File{"flowd-py.txt", &flowd_py}, File{"xrootd.txt", &xrootd},
                                           File{"dcache.txt", &dcache}, File{"flowd-go.txt", &flowd_go},
                                           File{"flowd-go-bare.txt", &flowd_go_bare}));

}  // namespace
}  // namespace flowd::firefly
