// SPDX-License-Identifier: Apache-2.0
// Ended flows, the stream of events, sums per minute, and whether a flow is marked.
#include <atomic>
#include <map>
#include <thread>

#include "core/flows/flow_history.hpp"
#include "core/flows/minutes.hpp"
#include "flowd/abi/ext/interfaces.h"
#include "flowd/sized.hpp"
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

class FlowHistoryTest : public FlowsTest {
  protected:
    /// The destination ports of ended flows, the latest first.
    std::vector<int> ended(const flowd_flow_filter* filter = nullptr) {
        std::vector<int> ports;
        std::uint64_t cursor = 0;
        EXPECT_EQ(bus->page_ended(filter, cursor, 1'000'000,
                                  [&](const flowd_flow& flow) {
                                      ports.push_back(flow.key.destination_port);
                                      return true;
                                  }),
                  FLOWD_OK);
        EXPECT_EQ(cursor, 0u);
        return ports;
    }
    /// "start1 retag1 end1 refusal", and how many were lost.
    std::pair<std::string, std::uint64_t> events(std::uint64_t& position, std::size_t limit = 1'000'000) {
        static const std::map<std::uint32_t, std::string> names{{FLOWD_OBSERVED_START, "start"},
                                                                {FLOWD_OBSERVED_ONGOING, "ongoing"},
                                                                {FLOWD_OBSERVED_RETAG, "retag"},
                                                                {FLOWD_OBSERVED_END, "end"},
                                                                {FLOWD_OBSERVED_REFUSAL, "refusal"}};
        std::string out;
        std::uint64_t lost = 0;
        EXPECT_EQ(bus->read_events(position, limit, lost,
                                   [&](const flowd_observed& one) {
                                       out += (out.empty() ? "" : " ") + names.at(one.kind);
                                       if (one.flow != nullptr) out += std::to_string(one.flow->key.destination_port);
                                       return true;
                                   }),
                  FLOWD_OK);
        return {out, lost};
    }
    AnnouncerId api = announcer("api");
};

TEST_F(FlowHistoryTest, KeepsTheLastEndedFlowsWithWhatWasKnownOfThem) {
    flowd_event begun = start(1);
    begun.application = text("xrootd");
    begun.rule = text("rules[2]");
    begun.start_time_ns = epoch_ns;
    emit(api, begun);
    flowd_event over = end(1);
    over.usage = {1000, 20, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    emit(api, over);
    std::uint64_t cursor = 0;
    int visited = 0;
    ASSERT_EQ(bus->page_ended(nullptr, cursor, 10,
                              [&](const flowd_flow& flow) {
                                  ++visited;
                                  EXPECT_EQ(text(flow.application), "xrootd");
                                  EXPECT_EQ(text(flow.rule), "rules[2]");
                                  EXPECT_EQ(text(flow.announcer), "api");
                                  EXPECT_EQ(flow.tag.experiment, 2u);
                                  EXPECT_EQ(flow.start_time_ns, epoch_ns);
                                  EXPECT_EQ(flow.end_time_ns, epoch_ns + steady);
                                  EXPECT_EQ(flow.end_reason, std::uint32_t{FLOWD_END_ANNOUNCED});
                                  EXPECT_EQ(flow.usage.bytes_sent, 1000u);
                                  return true;
                              }),
              FLOWD_OK);
    EXPECT_EQ(visited, 1);
    EXPECT_EQ(bus->count_ended(), 1u);
}

TEST_F(FlowHistoryTest, TheLatestComesFirstAndTheOldestIsReplaced) {
    FlowLimits limits;
    limits.history = 100;
    use(limits);
    api = announcer("api");
    for (std::uint32_t i = 1; i <= 250; ++i) {
        emit(api, start(i));
        emit(api, end(i));
    }
    const std::vector<int> ports = ended();
    ASSERT_EQ(ports.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(ports[static_cast<std::size_t>(i)], 250 - i);
}

TEST_F(FlowHistoryTest, PagesContinueAtTheCursorWhateverEndsMeanwhile) {
    for (std::uint32_t i = 1; i <= 10; ++i) {
        emit(api, start(i));
        emit(api, end(i));
    }
    std::vector<int> ports;
    const auto take = [&](const flowd_flow& flow) {
        ports.push_back(flow.key.destination_port);
        return true;
    };
    std::uint64_t cursor = 0;
    ASSERT_EQ(bus->page_ended(nullptr, cursor, 4, take), FLOWD_OK);
    emit(api, start(11));
    emit(api, end(11));
    ASSERT_EQ(bus->page_ended(nullptr, cursor, 100, take), FLOWD_OK);
    EXPECT_EQ(cursor, 0u);
    EXPECT_EQ(ports, (std::vector<int>{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}));
    cursor = ~std::uint64_t{0};
    EXPECT_EQ(bus->page_ended(nullptr, cursor, 4, take), FLOWD_INVALID);
    cursor = 1;
    EXPECT_EQ(bus->page_ended(nullptr, cursor, 4, take), FLOWD_INVALID) << "of an earlier daemon";
}

TEST_F(FlowHistoryTest, IsFilteredLikeLiveFlows) {
    const auto pipe = announcer("namedpipe");
    emit(api, start(1));
    emit(pipe, start(2, {3, 1}));
    emit(api, end(1));
    emit(pipe, end(2));
    flowd_flow_filter filter{};
    filter.size = sizeof filter;
    filter.members = FLOWD_FILTER_EXPERIMENT;
    filter.tag.experiment = 3;
    EXPECT_EQ(ended(&filter), std::vector<int>{2});
    filter.members = FLOWD_FILTER_ANNOUNCER;
    filter.announcer = text("api");
    EXPECT_EQ(ended(&filter), std::vector<int>{1});
    filter.members = FLOWD_FILTER_PORT;
    filter.port = 443;
    EXPECT_EQ(ended(&filter), (std::vector<int>{2, 1}));
    filter.members = 1u << 20;
    std::uint64_t cursor = 0;
    EXPECT_EQ(bus->page_ended(&filter, cursor, 1, [](const flowd_flow&) { return true; }), FLOWD_UNSUPPORTED);
}

TEST_F(FlowHistoryTest, ACapacityOfZeroKeepsNothingAndAReloadKeepsTheLatest) {
    FlowLimits limits;
    limits.history = 10;
    use(limits);
    api = announcer("api");
    const auto pass_flow = [&](std::uint32_t i) {
        emit(api, start(i));
        emit(api, end(i));
    };
    for (std::uint32_t i = 1; i <= 5; ++i) pass_flow(i);
    limits.history = 3;
    bus->set_limits(limits);
    EXPECT_EQ(ended(), (std::vector<int>{5, 4, 3}));
    pass_flow(6);
    EXPECT_EQ(ended(), (std::vector<int>{6, 5, 4}));
    limits.history = 0;
    bus->set_limits(limits);
    pass_flow(7);
    EXPECT_EQ(ended(), std::vector<int>());
    EXPECT_EQ(bus->count_ended(), 0u);
    limits.history = 10;
    bus->set_limits(limits);
    pass_flow(8);
    EXPECT_EQ(ended(), std::vector<int>{8});
}

TEST_F(FlowHistoryTest, AnExpiredFlowAndAnUnseenEndAreKept) {
    flowd_event metered = start(1);
    metered.flags = FLOWD_METERED;
    emit(api, metered);
    pass(120);
    flowd_event unseen = end(2);
    emit(api, unseen);
    std::vector<std::uint32_t> reasons, flags;
    std::uint64_t cursor = 0;
    (void)bus->page_ended(nullptr, cursor, 10, [&](const flowd_flow& flow) {
        reasons.push_back(flow.end_reason);
        flags.push_back(flow.flags);
        return true;
    });
    EXPECT_EQ(reasons, (std::vector<std::uint32_t>{FLOWD_END_ANNOUNCED, FLOWD_END_IDLE}));
    EXPECT_EQ(flags.at(0), std::uint32_t{FLOWD_NO_START});
}

TEST_F(FlowHistoryTest, EventsAreReadInOrderFromAPosition) {
    std::uint64_t position = bus->next_event();
    emit(api, start(1));
    emit(api, start(1));  // refreshed: no event
    emit(api, ongoing(1));
    emit(api, ongoing(1, {2, 17}));
    bus->observe_refusal("plugin fireflyp", "bad_json", "192.0.2.1:5", "\x01{");
    emit(api, end(1));
    EXPECT_EQ(events(position, 2), std::pair(std::string("start1 ongoing1"), std::uint64_t{0}));
    EXPECT_EQ(events(position), std::pair(std::string("retag1 refusal end1"), std::uint64_t{0}));
    EXPECT_EQ(events(position), std::pair(std::string(), std::uint64_t{0}));
    EXPECT_EQ(position, bus->next_event());
    std::uint64_t beginning = 0;
    EXPECT_EQ(events(beginning).first, "start1 ongoing1 retag1 refusal end1");
}

TEST_F(FlowHistoryTest, AnEventHasTheFlowAsItWas) {
    std::uint64_t position = bus->next_event();
    emit(api, start(1));
    emit(api, ongoing(1, {2, 17}));
    bus->observe_refusal("plugin fireflyp", "bad_json", "192.0.2.1:5", std::string(200, 'x'));
    std::uint64_t lost = 0, sequence = position;
    (void)bus->read_events(position, 10, lost, [&](const flowd_observed& one) {
        EXPECT_EQ(one.sequence, sequence++);
        EXPECT_EQ(one.time_ns, epoch_ns + steady);
        if (one.kind == FLOWD_OBSERVED_START) {
            EXPECT_EQ(one.flow->tag.activity, 16u);
        }
        if (one.kind == FLOWD_OBSERVED_RETAG) {
            EXPECT_EQ(one.flow->tag.activity, 17u);
            EXPECT_EQ(one.former_tag.activity, 16u);
        }
        if (one.kind == FLOWD_OBSERVED_REFUSAL) {
            EXPECT_EQ(one.flow, nullptr);
            EXPECT_EQ(text(one.instance), "plugin fireflyp");
            EXPECT_EQ(text(one.reason), "bad_json");
            EXPECT_EQ(one.first.length, 128u);
        }
        return true;
    });
    EXPECT_EQ(position, sequence);
}

TEST_F(FlowHistoryTest, ASlowReaderIsToldHowManyEventsItLost) {
    std::uint64_t position = bus->next_event();
    const std::uint64_t begin = position;
    for (std::uint32_t i = 0; i < FlowHistory::events_kept / 2 + 5; ++i) {
        emit(api, start(i % 1000 + 1));
        emit(api, end(i % 1000 + 1));
    }
    std::uint64_t lost = 0;
    std::uint64_t seen = 0;
    ASSERT_EQ(bus->read_events(position, 1'000'000, lost, [&](const flowd_observed&) { return ++seen > 0; }), FLOWD_OK);
    EXPECT_EQ(lost, 10u);
    EXPECT_EQ(seen, FlowHistory::events_kept);
    EXPECT_EQ(position, begin + lost + seen);
}

TEST_F(FlowHistoryTest, APositionOfAnotherDaemonIsRefused) {
    std::uint64_t lost = 0;
    for (std::uint64_t position : {std::uint64_t{1}, bus->next_event() + 1, ~std::uint64_t{0}})
        EXPECT_EQ(bus->read_events(position, 1, lost, [](const flowd_observed&) { return true; }), FLOWD_INVALID);
}

TEST_F(FlowHistoryTest, RefusalsBeyondTheirRateAreCounted) {
    std::uint64_t position = bus->next_event();
    for (std::uint64_t i = 0; i < FlowHistory::refusals_per_second + 10; ++i)
        bus->observe_refusal("plugin fireflyp", "bad_json", "", "");
    steady += second_ns;
    bus->observe_refusal("plugin fireflyp", "bad_json", "", "");
    std::uint64_t lost = 0, seen = 0, suppressed = 0;
    (void)bus->read_events(position, 10'000, lost, [&](const flowd_observed& one) {
        suppressed += one.suppressed;
        return ++seen > 0;
    });
    EXPECT_EQ(seen, FlowHistory::refusals_per_second + 1);
    EXPECT_EQ(suppressed, 10u);
}

TEST_F(FlowHistoryTest, ReadersAndWritersAtTheSameTimeAccountForEveryEvent) {
    use({});
    constexpr std::uint32_t each = 20'000;
    std::vector<AnnouncerId> ids;
    for (int i = 0; i < 3; ++i) ids.push_back(announcer("api/" + std::to_string(i)));
    std::uint64_t position = bus->next_event();
    std::atomic<int> writing{3};
    std::vector<std::thread> writers;
    for (std::uint32_t w = 0; w < 3; ++w)
        writers.emplace_back([&, w] {
            for (std::uint32_t i = 0; i < each; ++i) {
                const flowd_event begun = start(w * 100'000 + i % 1000 + 1), over = end(w * 100'000 + i % 1000 + 1);
                (void)bus->emit(ids[w], &begun, 1, sizeof begun, nullptr);
                (void)bus->emit(ids[w], &over, 1, sizeof over, nullptr);
            }
            --writing;
        });
    std::uint64_t lost = 0, seen = 0, last = 0;
    bool in_order = true;
    const auto read = [&] {
        std::uint64_t missed = 0;
        (void)bus->read_events(position, 1000, missed, [&](const flowd_observed& one) {
            in_order = in_order && one.sequence > last;
            last = one.sequence;
            return ++seen > 0;
        });
        lost += missed;
    };
    while (writing > 0) read();
    for (std::thread& writer : writers) writer.join();
    while (position < bus->next_event()) read();
    EXPECT_TRUE(in_order);
    EXPECT_EQ(seen + lost, 6u * each);
}

TEST_F(FlowHistoryTest, AnEndedFlowCostsAtMost300Bytes) {
    // With a name that no other flow has: the record, its place, the shared text and its allocation.
    EXPECT_LE(sizeof(FlowRecord) + 8, 200u);
    EXPECT_LE(sizeof(ObservedRecord) + 8, 240u);
}

TEST_F(FlowHistoryTest, AFlowIsMarkedIfABackendMarksItsPackets) {
    const auto marked = [&](std::uint32_t number) {
        bool is = false;
        EXPECT_TRUE(bus->find(key_of(number), [&](const flowd_flow& flow) { is = (flow.flags & FLOWD_MARKED) != 0; }));
        return is;
    };
    flowd_event forwarded = start(3);
    forwarded.local = FLOWD_LOCAL_NONE;
    flowd_event v4 = start(4);
    v4.key = make_key({*Address::parse("192.0.2.1"), 1}, {*Address::parse("192.0.2.2"), 2}, 6);
    emit(api, start(1));
    emit(api, start(2, {0, 0}));
    emit(api, forwarded);
    emit(api, v4);
    EXPECT_FALSE(marked(1)) << "no backend marks";
    bus->set_marks(FLOWD_MARKS_IPV6);
    EXPECT_TRUE(marked(1));
    EXPECT_FALSE(marked(2)) << "no valid tag";
    EXPECT_FALSE(marked(3)) << "forwarded";
    bus->set_marks(FLOWD_MARKS_IPV6 | FLOWD_MARKS_FORWARDED | FLOWD_MARKS_IPV4);
    EXPECT_TRUE(marked(3));
    bool is = false;
    EXPECT_TRUE(bus->find(v4.key, [&](const flowd_flow& flow) { is = (flow.flags & FLOWD_MARKED) != 0; }));
    EXPECT_TRUE(is);
}

/// The sums of all minutes.
std::map<std::int64_t, std::vector<MinuteSum>> all_of(const Minutes& minutes) {
    std::map<std::int64_t, std::vector<MinuteSum>> all;
    minutes.visit(0, [&](std::int64_t minute, const MinuteSum& sum) {
        all[minute].push_back(sum);
        return true;
    });
    return all;
}

TEST_F(FlowHistoryTest, SumsPerMinuteByTagAndOrientation) {
    const std::int64_t first = (epoch_ns + steady) / (60 * second_ns);
    flowd_event begun = start(1);
    begun.local = FLOWD_LOCAL_SOURCE;
    emit(api, begun);
    flowd_event going = ongoing(1);
    going.usage = {1000, 10, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    emit(api, going);
    bus->collect_sums();
    steady += 60 * second_ns;
    flowd_event over = end(1);
    over.usage = {5000, 30, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    emit(api, over);
    bus->tick();
    const auto all = all_of(bus->minutes());
    ASSERT_EQ(all.size(), 2u);
    const auto is = [](const std::vector<MinuteSum>& rows, std::uint64_t started, std::uint64_t ended, std::uint64_t sent,
                       std::uint64_t received) {
        const MinuteSum& row = rows.at(0);
        return rows.size() == 1 && row.tag.activity == 16 && row.local == FLOWD_LOCAL_SOURCE && row.started == started &&
               row.ended == ended && row.bytes_sent == sent && row.bytes_received == received;
    };
    EXPECT_TRUE(is(all.at(first), 1, 0, 1000, 10));
    EXPECT_TRUE(is(all.at(first + 1), 0, 1, 4000, 20));
}

TEST_F(FlowHistoryTest, BytesThatWereMovedBeforeThisProcessAreNotSummed) {
    flowd_event old = start(1);
    old.start_time_ns = epoch_ns - 3600 * second_ns;
    old.usage = {1'000'000, 0, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    emit(api, old);
    flowd_event going = ongoing(1);
    going.usage = {1'000'500, 0, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    emit(api, going);
    bus->collect_sums();
    EXPECT_EQ(all_of(bus->minutes()).begin()->second.at(0).bytes_sent, 500u);
}

TEST(Minutes, TagsBeyondTheLimitAreSummedAsOthers) {
    MinuteSums sums;
    sums.reserve();
    for (std::uint32_t i = 0; i < 200; ++i) ++sums.row({i, 1}, FLOWD_LOCAL_SOURCE).started;
    EXPECT_EQ(sums.rows().size(), MinuteSums::max_rows);
    EXPECT_EQ(sums.rows().back().tag.experiment, FLOWD_TAG_OTHER);
    EXPECT_EQ(sums.rows().back().started, 200 - (MinuteSums::max_rows - 1));
}

TEST(Minutes, ADayIsKept) {
    Minutes minutes;
    for (std::int64_t minute = 1000; minute < 1000 + 2 * Minutes::kept; ++minute)
        minutes.add(minute, {{{1, 1}, FLOWD_LOCAL_SOURCE, 1, 0, 0, 0}});
    const auto all = all_of(minutes);
    EXPECT_EQ(all.size(), static_cast<std::size_t>(Minutes::kept));
    EXPECT_EQ(all.begin()->first, 1000 + Minutes::kept);
}

}  // namespace
}  // namespace flowd::core::test
