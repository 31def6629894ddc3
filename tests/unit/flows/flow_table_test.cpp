// SPDX-License-Identifier: Apache-2.0
// One flow, its announcers and its tag.
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

using FlowTable = FlowsTest;

TEST_F(FlowTable, AStartAndAnEndReachABackendOnceEach) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    EXPECT_EQ(emit(api, start(1)), FLOWD_OK);
    EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "S1 E1");
}

TEST_F(FlowTable, AllBackendsReceiveTheSameEvents) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    Backend marker(*bus, "marker");
    emit(api, start(1));
    const auto first = firefly.take_all();
    const auto second = marker.take_all();
    ASSERT_EQ(first.size(), 1u);
    ASSERT_EQ(second.size(), 1u);
    EXPECT_NE(first[0].event.flow_id, 0u);
    EXPECT_EQ(first[0].event.flow_id, second[0].event.flow_id);
}

TEST_F(FlowTable, ARepeatedStartRefreshesAndIsNotPassedOn) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    pass(3);
    EXPECT_EQ(emit(api, start(1)), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "S1");
    EXPECT_EQ(effect("api", Effect::refreshed), 1u);
    EXPECT_EQ(bus->count(), 1u);
    bus->find(key_of(1), [&](const flowd_flow& flow) { EXPECT_EQ(flow.seen_time_ns - flow.start_time_ns, 3 * second_ns); });
}

TEST_F(FlowTable, BothDirectionsAreOneFlowWithTheOrientationOfTheFirstAnnouncement) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    auto other_side = event_of(FLOWD_EVENT_END, turned(key_of(1)));
    other_side.usage = {10, 20, 1, 2, FLOWD_USAGE_UNKNOWN, FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS};
    EXPECT_EQ(emit(api, other_side), FLOWD_OK);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 E1");
    EXPECT_EQ(told[1].event.usage.bytes_sent, 20u) << "sent is from source to destination of the flow's own key";
    EXPECT_EQ(told[1].event.usage.packets_received, 1u);
}

TEST_F(FlowTable, ProtocolAndScopeMakeDifferentFlows) {
    const auto api = announcer("api");
    auto udp = start(1);
    udp.key.protocol = 17;
    auto other_namespace = start(1);
    other_namespace.key.scope = 4026531840;
    emit(api, start(1));
    emit(api, udp);
    emit(api, other_namespace);
    EXPECT_EQ(bus->count(), 3u);
}

TEST_F(FlowTable, ATagOfHigherPrecedenceRetags) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api", FLOWD_PRECEDENCE_EXPLICIT);
    Backend firefly(*bus, "firefly");
    emit(meter, start(1, {14, 2}));
    emit(rule, start(1, {2, 16}));
    emit(api, start(1, {3, 14}));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1 O1");
    EXPECT_TRUE(told[1].event.flags & FLOWD_RETAGGED);
    EXPECT_EQ(told[1].event.tag.experiment, 2u);
    EXPECT_EQ(told[2].event.tag.experiment, 3u);
    EXPECT_EQ(effect("api", Effect::retagged), 1u);
}

TEST_F(FlowTable, AnAnnouncementOfLowerPrecedenceDoesNotRetag) {
    const auto api = announcer("api", FLOWD_PRECEDENCE_EXPLICIT);
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    Backend firefly(*bus, "firefly");
    emit(api, start(1, {3, 14}));
    emit(rule, start(1, {2, 16}));
    emit(rule, start(1, {2, 17}));
    EXPECT_EQ(story(firefly.take_all()), "S1");
    EXPECT_EQ(effect("netlink", Effect::joined), 1u);
    bus->find(key_of(1), [](const flowd_flow& flow) {
        EXPECT_EQ(flow.tag.experiment, 3u);
        EXPECT_EQ(flow.announcers, 2u);
    });
}

TEST_F(FlowTable, WithEqualPrecedenceTheFirstTagIsKeptUnlessItIsNoValidTag) {
    const auto api = announcer("api");
    const auto pipe = announcer("namedpipe");
    Backend firefly(*bus, "firefly");
    emit(api, start(1, {3, 14}));
    emit(pipe, start(1, {2, 16}));
    emit(pipe, start(1, {2, 16}));
    EXPECT_EQ(story(firefly.take_all()), "S1");
    EXPECT_EQ(effect("namedpipe", Effect::tag_kept), 2u);
    emit(api, start(2, {0, 0}));
    emit(pipe, start(2, {2, 16}));
    EXPECT_EQ(story(firefly.take_all()), "S2 O2");
}

TEST_F(FlowTable, TheInstanceThatGaveTheTagMayChangeIt) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1, {3, 14}));
    emit(api, start(1, {3, 15}));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1");
    EXPECT_EQ(told[1].event.tag.activity, 15u);
}

TEST_F(FlowTable, NoValidTagReachesBackends) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1, {0, 0}));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1");
    EXPECT_EQ(told[0].event.tag.experiment, 0u);
}

TEST_F(FlowTable, TheInstanceOfHighestPrecedenceEndsTheFlow) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api", FLOWD_PRECEDENCE_EXPLICIT);
    Backend firefly(*bus, "firefly");
    emit(rule, start(1));
    emit(api, start(1));
    emit(rule, end(1));
    EXPECT_EQ(story(firefly.take_all()), "S1") << "netlink does not decide";
    EXPECT_EQ(effect("netlink", Effect::left), 1u);
    emit(api, end(1));
    EXPECT_EQ(story(firefly.take_all()), "E1");
}

TEST_F(FlowTable, TheInstanceOfHighestPrecedenceEndsAFlowThatOthersAnnounce) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api", FLOWD_PRECEDENCE_EXPLICIT);
    Backend firefly(*bus, "firefly");
    emit(rule, start(1));
    emit(api, start(1));
    emit(api, end(1));
    EXPECT_EQ(story(firefly.take_all()), "S1 E1");
}

TEST_F(FlowTable, AnEndFromAnInstanceThatDoesNotAnnounceTheFlowIsIgnoredAndCounted) {
    const auto api = announcer("api", FLOWD_PRECEDENCE_EXPLICIT);
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    EXPECT_EQ(emit(rule, end(1)), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "S1");
    EXPECT_EQ(effect("netlink", Effect::foreign_end), 1u);
}

TEST_F(FlowTable, TheEndCarriesTheTagOfTheTable) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1, {2, 16}));
    auto swapped = end(1);  // as StoRM's documented NGINX format sends it
    swapped.tag = {16, 2};
    emit(api, swapped);
    const auto told = firefly.take_all();
    EXPECT_EQ(told.back().event.tag.experiment, 2u);
    EXPECT_EQ(told.back().event.tag.activity, 16u);
}

TEST_F(FlowTable, ATombstoneDiscardsRepeatedAndLateEnds) {
    const auto api = announcer("api");
    const auto pipe = announcer("namedpipe");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    emit(api, end(1));
    EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
    EXPECT_EQ(emit(pipe, end(1)), FLOWD_OK);
    EXPECT_EQ(emit(pipe, ongoing(1)), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "S1 E1");
    EXPECT_EQ(effect("api", Effect::double_end), 1u);
    EXPECT_EQ(effect("namedpipe", Effect::late), 2u);
}

TEST_F(FlowTable, ALateStartFromAMeterDoesNotAnnounceAnEndedConnectionAgain) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto other_rule = announcer("iperf3", FLOWD_PRECEDENCE_RULE);
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend firefly(*bus, "firefly");
    const auto at = [](flowd_event event, std::int64_t start_ns, std::int64_t end_ns) {
        event.start_time_ns = start_ns;
        event.end_time_ns = end_ns;
        return event;
    };
    emit(rule, at(start(1), 1000, 0));
    emit(rule, at(end(1), 1000, 2000));
    EXPECT_EQ(emit(meter, at(start(1), 1000, 0)), FLOWD_OK);
    EXPECT_EQ(emit(other_rule, at(start(1), 1000, 0)), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "S1 E1");
    EXPECT_EQ(effect("perfsonar", Effect::late), 1u);
    EXPECT_EQ(effect("iperf3", Effect::late), 1u);

    EXPECT_EQ(emit(meter, at(start(1), epoch_ns + steady - 1, 0)), FLOWD_OK) << "before that end was told";
    EXPECT_EQ(effect("perfsonar", Effect::late), 2u);
    EXPECT_EQ(emit(meter, at(start(1), epoch_ns + steady + 1, 0)), FLOWD_OK)
        << "the next connection with these ports began after that end";
    EXPECT_EQ(story(firefly.take_all()), "S1");
}

TEST_F(FlowTable, AConnectionThatOutlivesItsAnnouncementIsAnnouncedAgainByAMeter) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend firefly(*bus, "firefly");
    auto withdrawn = end(1);
    withdrawn.end_reason = FLOWD_END_WITHDRAWN;
    withdrawn.end_time_ns = 2000;
    auto late = start(1);
    late.start_time_ns = 1000;
    emit(rule, start(1));
    emit(rule, withdrawn);
    emit(meter, late);
    EXPECT_EQ(story(firefly.take_all()), "S1 E1 S1");
}

TEST_F(FlowTable, ATombstoneLastsFiveSeconds) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    emit(api, end(1));
    firefly.take_all();
    pass_ns(5 * second_ns - 1);
    EXPECT_EQ(bus->counters().ended_kept, 1u);
    pass_ns(second_ns);
    EXPECT_EQ(bus->counters().ended_kept, 0u);
    emit(api, end(1));
    EXPECT_EQ(story(firefly.take_all()), "E1") << "now it is an end of a flow never seen";
}

TEST_F(FlowTable, ATombstoneIsOfOneKeyInEitherDirection) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    const auto on_link = [](flowd_event event, std::uint32_t zone) {
        const std::array<std::uint8_t, 16> local{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
        std::copy(local.begin(), local.end(), event.key.source);
        event.key.zone = zone;
        event.key.scope = 77;
        return event;
    };
    emit(api, on_link(start(1), 2));
    emit(api, on_link(end(1), 2));
    auto back = on_link(end(1), 2);
    back.key = turned(back.key);
    emit(api, back);
    EXPECT_EQ(effect("api", Effect::double_end), 1u);
    EXPECT_EQ(story(firefly.take_all()), "S1 E1");
    emit(api, on_link(end(1), 3));
    emit(api, end(1));
    EXPECT_EQ(story(firefly.take_all()), "E1 E1") << "another link, and this network namespace";
}

TEST_F(FlowTable, AnEndedFlowTakesLessThan64Bytes) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    constexpr std::uint32_t flows = 100'000;
    for (std::uint32_t i = 1; i <= flows; ++i) {
        emit(api, start(i));
        emit(api, end(i));
        if (i % 100 == 0) firefly.take_all();
    }
    EXPECT_EQ(bus->counters().ended_kept, flows);
    EXPECT_LT(bus->counters().table_bytes, std::uint64_t{flows} * 64);
}

TEST_F(FlowTable, ANewStartClearsTheTombstone) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    emit(api, end(1));
    emit(api, start(1));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 E1 S1");
    EXPECT_NE(told[0].event.flow_id, told[2].event.flow_id);
    pass(20);
    EXPECT_EQ(bus->count(), 1u) << "the old flow's tombstone must not take the new flow with it";
}

TEST_F(FlowTable, TheEndOfAnUnknownFlowIsPassedOnWithItsStartTime) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    auto event = end(1);
    event.start_time_ns = epoch_ns;
    event.end_time_ns = epoch_ns + 5 * second_ns;
    EXPECT_EQ(emit(api, event), FLOWD_OK);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "E1") << "the end alone";
    EXPECT_EQ(told[0].event.start_time_ns, epoch_ns);
    EXPECT_EQ(told[0].event.end_time_ns, epoch_ns + 5 * second_ns);
    EXPECT_FALSE(told[0].event.flags & FLOWD_NO_START);
    EXPECT_EQ(effect("api", Effect::end_unseen), 1u);
    emit(api, event);
    EXPECT_EQ(story(firefly.take_all()), "") << "it leaves a tombstone of its own";
    EXPECT_EQ(bus->count(), 0u);
}

TEST_F(FlowTable, TheEndOfAnUnknownFlowWithoutAStartTimeHasStartEqualToEnd) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, end(1));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "E1");
    EXPECT_EQ(told[0].event.start_time_ns, told[0].event.end_time_ns);
    EXPECT_NE(told[0].event.end_time_ns, 0);
    EXPECT_TRUE(told[0].event.flags & FLOWD_NO_START);
    EXPECT_EQ(effect("api", Effect::end_no_start), 1u);
    auto earlier = end(2);
    earlier.end_time_ns = epoch_ns - 5 * second_ns;
    emit(api, earlier);
    const auto second = firefly.take_all();
    ASSERT_EQ(story(second), "E2");
    EXPECT_EQ(second[0].event.end_time_ns, epoch_ns - 5 * second_ns);
    EXPECT_EQ(second[0].event.start_time_ns, epoch_ns - 5 * second_ns);
}

TEST_F(FlowTable, AnOngoingOfAnUnknownFlowStartsIt) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    auto event = ongoing(1);
    event.start_time_ns = epoch_ns - 60 * second_ns;
    emit(api, event);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1") << "the daemon may have been started in the middle of it";
    EXPECT_EQ(told[0].event.start_time_ns, epoch_ns - 60 * second_ns);
}

TEST_F(FlowTable, AnOngoingIsPassedOnOnlyFromTheHighestPrecedence) {
    const auto api = announcer("api", FLOWD_PRECEDENCE_EXPLICIT);
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    emit(rule, ongoing(1));
    emit(api, ongoing(1));
    EXPECT_EQ(story(firefly.take_all()), "S1 O1");
}

TEST_F(FlowTable, UnknownTimesAreFilledIn) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    const auto begun = epoch_ns + steady;
    pass(2);
    emit(api, end(1));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 E1");
    EXPECT_EQ(told[0].event.time_ns, begun);
    EXPECT_EQ(told[1].event.start_time_ns, begun);
    EXPECT_EQ(told[1].event.end_time_ns, begun + 2 * second_ns);
    EXPECT_EQ(told[1].event.time_ns, begun + 2 * second_ns);
}

// case C31
TEST_F(FlowTable, AnEndBeforeItsStartEndsTheFlowAtItsStart) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    const auto ended = [&](std::int64_t flow_start, std::int64_t event_start, std::int64_t event_end) {
        auto begin = start(1);
        begin.start_time_ns = flow_start;
        emit(api, begin);
        auto finish = end(1);
        finish.start_time_ns = event_start;
        finish.end_time_ns = event_end;
        EXPECT_EQ(emit(api, finish), FLOWD_OK);
        const auto told = firefly.take_all();
        EXPECT_EQ(story(told), "S1 E1");
        EXPECT_EQ(told.back().event.start_time_ns, flow_start);
        return told.back().event.end_time_ns;
    };
    const std::int64_t at = epoch_ns + second_ns / 2;
    EXPECT_EQ(ended(at, 0, epoch_ns), at) << "a start with fractions, an end in whole seconds";
    EXPECT_EQ(ended(at, at, 1), at) << "a clock that was not set yet";
    EXPECT_EQ(ended(at, at + second_ns, at), at) << "not before the start that the table has";
    EXPECT_EQ(effect("api", Effect::clock_stepped), 2u);
    auto unseen = end(2);
    unseen.start_time_ns = at;
    unseen.end_time_ns = at - 1;
    EXPECT_EQ(emit(api, unseen), FLOWD_OK);
    EXPECT_EQ(firefly.take_all().at(0).event.end_time_ns, at);
    EXPECT_EQ(effect("api", Effect::clock_stepped), 3u);
}

// case C31
TEST_F(FlowTable, AStepOfTheSystemsClockDoesNotChangeHowLongAFlowLasted) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    for (const std::int64_t step : {2 * 3600 * second_ns, -5 * 3600 * second_ns, second_ns * 50 * 365 * 24 * 3600}) {
        auto begin = start(1);
        begin.start_time_ns = epoch_ns + steady + stepped - second_ns;
        emit(api, begin);
        emit(api, start(2));
        pass(10);
        stepped += step;
        pass(5);
        emit(api, start(2));
        pass(5);
        EXPECT_TRUE(bus->find(
            key_of(2), [](const flowd_flow& flow) { EXPECT_EQ(flow.seen_time_ns - flow.start_time_ns, 15 * second_ns); }));
        emit(api, end(1));
        emit(api, end(2));
        const auto told = firefly.take_all();
        ASSERT_EQ(story(told), "S1 S2 E1 E2");
        EXPECT_EQ(told[2].event.end_time_ns - told[2].event.start_time_ns, 21 * second_ns);
        EXPECT_EQ(told[3].event.end_time_ns - told[3].event.start_time_ns, 20 * second_ns);
        EXPECT_EQ(told[3].event.time_ns, epoch_ns + steady + stepped) << "when it happened, by the clock as it is now";
    }
    emit(api, start(3));
    pass(7);
    stepped -= 3600 * second_ns;
    bus->remove_announcer(api);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S3 E3");
    EXPECT_EQ(told[1].event.end_time_ns - told[1].event.start_time_ns, 7 * second_ns) << "an end that the core makes";
}

TEST_F(FlowTable, AnEndIsNeverBeforeAnotherInstancesStart) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    auto begin = start(1);
    begin.start_time_ns = epoch_ns + second_ns;
    emit(api, begin);
    auto finish = end(1);
    finish.end_time_ns = epoch_ns;
    emit(api, finish);
    EXPECT_EQ(firefly.take_all().back().event.end_time_ns, epoch_ns + second_ns);
    EXPECT_EQ(bus->count(), 0u);
    EXPECT_EQ(effect("api", Effect::clock_stepped), 1u);
}

TEST_F(FlowTable, TheEndRepeatsTheLatestUsageAndTheApplication) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    auto begin = start(1);
    begin.application = text("xrootd");
    emit(api, begin);
    auto progress = ongoing(1);
    progress.usage = {1000, 5, 10, 2, FLOWD_USAGE_UNKNOWN, FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS};
    emit(api, progress);
    emit(api, end(1));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1 E1");
    EXPECT_TRUE(told[2].event.usage.known & FLOWD_USAGE_BYTES);
    EXPECT_EQ(told[2].event.usage.bytes_sent, 1000u);
    EXPECT_EQ(told[2].application, "xrootd");
}

TEST_F(FlowTable, AnAnnouncedFlowIsNoLongerMetered) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    const auto api = announcer("api");
    auto metered = start(1);
    metered.flags = FLOWD_METERED;
    emit(meter, metered);
    emit(api, start(1));
    emit(meter, metered);
    bus->find(key_of(1), [](const flowd_flow& flow) { EXPECT_FALSE(flow.flags & FLOWD_METERED); });
}

TEST_F(FlowTable, AFlowTakesLessThan300Bytes) {
    const auto api = announcer("api");
    constexpr std::uint32_t flows = 200'000;
    for (std::uint32_t i = 1; i <= flows; ++i) emit(api, start(i));
    EXPECT_LT(bus->counters().table_bytes, std::uint64_t{300} * flows) << "some 210 when the index is full";
}

TEST_F(FlowTable, EndedFlowsFreeTheirMemory) {
    const auto api = announcer("api");
    const auto come_and_go = [&] {
        for (std::uint32_t i = 1; i <= 1000; ++i) {
            emit(api, start(i));
            emit(api, end(i));
        }
        pass(6);
        EXPECT_EQ(bus->counters().ended_kept, 0u);
        return bus->counters().table_bytes;
    };
    const auto once = come_and_go();
    for (int i = 0; i < 50; ++i) come_and_go();
    EXPECT_LE(come_and_go(), once);
}

TEST_F(FlowTable, FindReturnsALiveFlowInEitherDirection) {
    const auto api = announcer("api");
    emit(api, start(1));
    EXPECT_TRUE(bus->find(turned(key_of(1)), [](const flowd_flow&) {}));
    EXPECT_FALSE(bus->find(key_of(2), [](const flowd_flow&) {}));
    emit(api, end(1));
    EXPECT_FALSE(bus->find(key_of(1), [](const flowd_flow&) {}));
}

TEST_F(FlowTable, VisitPassesEachLiveFlowOnce) {
    const auto api = announcer("api");
    for (std::uint32_t i = 1; i <= 1000; ++i) emit(api, start(i));
    for (std::uint32_t i = 1; i <= 1000; i += 2) emit(api, end(i));
    std::vector<int> seen(1001);
    bus->visit(
        [&](std::span<const flowd_flow> flows) {
            EXPECT_LE(flows.size(), 7u);
            for (const auto& flow : flows) ++seen[flow.key.destination_port];
            return true;
        },
        7);
    for (std::size_t i = 1; i <= 1000; ++i) EXPECT_EQ(seen[i], i % 2 ? 0 : 1) << i;
}

TEST_F(FlowTable, AVisitorMayUseTheBusAndEndTheVisit) {
    const auto api = announcer("api");
    for (std::uint32_t i = 1; i <= 100; ++i) emit(api, start(i));
    int batches = 0;
    bus->visit(
        [&](std::span<const flowd_flow> flows) {
            emit(api, end(flows[0].key.destination_port));
            return ++batches < 3;
        },
        1);
    EXPECT_EQ(batches, 3);
    EXPECT_EQ(bus->count(), 97u);
}

}  // namespace
}  // namespace flowd::core::test
