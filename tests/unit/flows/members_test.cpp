// SPDX-License-Identifier: Apache-2.0
// Announcers and backends come, are replaced by a reload, and go; the catch-all.
#include <functional>
#include <map>

#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

using BusMembers = FlowsTest;

TEST_F(BusMembers, ANewBackendReceivesTheLiveFlows) {
    const auto api = announcer("api");
    auto begin = start(1);
    begin.start_time_ns = epoch_ns;
    emit(api, begin);
    emit(api, start(2));
    emit(api, end(2));
    Backend late(*bus, "late");
    const auto told = late.take_all();
    ASSERT_EQ(story(told), "s1") << "what ended before its time is none of its business";
    EXPECT_EQ(told[0].event.start_time_ns, epoch_ns);
    emit(api, end(1));
    EXPECT_EQ(story(late.take_all()), "E1");
    EXPECT_EQ(backend_counters("late").resynced, 1u);
}

TEST_F(BusMembers, AnEventBeforeTheResyncIsPrecededByTheStart) {
    const auto api = announcer("api");
    emit(api, start(1));
    Backend late(*bus, "late");
    emit(api, end(1));
    EXPECT_EQ(story(late.take_all()), "s1 e1");
}

TEST_F(BusMembers, TheFlowEndsWhenTheLastPluginThatAnnouncesItIsRemoved) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(rule, start(1));
    emit(api, start(1));
    emit(api, start(2));
    bus->remove_announcer(api);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 S2 E2") << "netlink still announces 1";
    EXPECT_GT(told[2].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_ANNOUNCED));
    EXPECT_EQ(told[2].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_WITHDRAWN)) << "the flow itself may live on";
    EXPECT_EQ(expired(Expiry::unannounced), 1u);
    emit(rule, end(1));
    EXPECT_EQ(story(firefly.take_all()), "E1");
}

TEST_F(BusMembers, AWithdrawnEndKeepsItsReason) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend marker(*bus, "marker");
    emit(meter, start(1));
    emit(meter, start(2));
    auto withdrawn = end(1);
    withdrawn.end_reason = FLOWD_END_WITHDRAWN;
    emit(meter, withdrawn);
    emit(meter, end(2));
    emit(meter, start(1));
    auto unseen = end(3);
    unseen.end_reason = FLOWD_END_WITHDRAWN;
    emit(meter, unseen);
    const auto told = marker.take_all();
    ASSERT_EQ(story(told), "S1 S2 E1 E2 S1 E3");
    EXPECT_EQ(told[2].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_WITHDRAWN));
    EXPECT_NE(told[3].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_WITHDRAWN));
    EXPECT_NE(told[4].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_WITHDRAWN)) << "a new flow of the same tuple";
    EXPECT_EQ(told[5].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_WITHDRAWN));
}

TEST_F(BusMembers, AWithdrawnEndDoesNotEndAFlowThatOthersAnnounce) {
    const auto api = announcer("api");
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend marker(*bus, "marker");
    emit(meter, start(1, {2, 16}));
    emit(api, start(1, {3, 14}));
    auto withdrawn = end(1);
    withdrawn.end_reason = FLOWD_END_WITHDRAWN;
    emit(api, withdrawn);
    emit(meter, start(1, {2, 16}));
    emit(meter, end(1));
    EXPECT_EQ(story(marker.take_all()), "S1 O1 O1 E1") << "re-tagged, and back again, then ended by the other";
}

TEST_F(BusMembers, RemovingAPluginReleasesItsChargeForFlowsThatItNoLongerAnnounces) {
    FlowLimits limits;
    limits.max_per_instance = 1;
    bus->set_limits(limits);
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api");
    emit(rule, start(1));
    emit(api, start(1));
    emit(rule, end(1));  // leaves; the flow was counted for it
    bus->remove_announcer(rule);
    const auto another = announcer("iperf3", FLOWD_PRECEDENCE_RULE);
    emit(another, start(2));
    EXPECT_EQ(bus->count(), 2u);
}

TEST_F(BusMembers, AfterThePluginThatGaveTheTagIsRemovedTheNextAnnouncementGivesTheTag) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(rule, start(1, {2, 16}));
    emit(api, start(1, {3, 14}));
    bus->remove_announcer(api);
    firefly.take_all();
    emit(rule, start(1, {2, 16}));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "O1");
    EXPECT_EQ(told[0].event.tag.experiment, 2u);
}

TEST_F(BusMembers, EmitOfARemovedPluginReturnsStoppedEvenIfItsSlotIsReused) {
    const auto api = announcer("api");
    bus->remove_announcer(api);
    EXPECT_EQ(emit(api, start(1)), FLOWD_STOPPED);
    const auto next = announcer("api");
    EXPECT_EQ(emit(api, start(1)), FLOWD_STOPPED);
    EXPECT_EQ(emit(next, start(1)), FLOWD_OK);
    EXPECT_EQ(announcer_counters("api").accepted, 1u) << "counted afresh";
}

TEST_F(BusMembers, APluginsChargeIsReleasedWhenOthersContinueTheFlow) {
    const auto api = announcer("api");
    const auto pipe = announcer("namedpipe");
    emit(api, start(1));
    emit(pipe, start(1));
    EXPECT_EQ(announcer_counters("namedpipe").live, 0u);
    bus->remove_announcer(api);
    EXPECT_EQ(announcer_counters("namedpipe").live, 1u);
    emit(pipe, end(1));
    EXPECT_EQ(announcer_counters("namedpipe").live, 0u);
}

TEST_F(BusMembers, ASuccessorKeepsTheAnnouncedFlows) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    int told_room = 0;
    ASSERT_TRUE(bus->replace_announcer(api, {"api", FLOWD_PRECEDENCE_EXPLICIT, 5, [&] { ++told_room; }}).ok());
    EXPECT_EQ(told_room, 1) << "whatever its predecessor was waiting for";
    EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "S1 E1");
    bus->remove_announcer(api);
    EXPECT_FALSE(bus->replace_announcer(api, {"api"}).ok());
}

TEST_F(BusMembers, NamesAndSlotsAreBounded) {
    announcer("0");
    const auto twice = bus->add_announcer({"0"});
    ASSERT_FALSE(twice.ok());
    EXPECT_EQ(twice.error().code, FLOWD_BUSY);
    for (std::size_t i = 1; i < Bus::max_announcers; ++i) announcer(std::to_string(i));
    EXPECT_EQ(bus->add_announcer({"one more"}).error().code, FLOWD_LIMIT);
    std::vector<std::shared_ptr<BackendQueue>> queues;
    for (std::size_t i = 0; i < Bus::max_backends; ++i) queues.push_back(*bus->add_backend({std::to_string(i)}));
    EXPECT_EQ(bus->add_backend({"one more"}).error().code, FLOWD_LIMIT);
    bus->remove_backend(queues[7]);
    EXPECT_TRUE(bus->add_backend({"one more"}).ok());
}

TEST_F(BusMembers, EveryPluginAndBackendSlotWorks) {
    std::vector<AnnouncerId> ids;
    for (std::size_t i = 0; i < Bus::max_announcers; ++i) ids.push_back(announcer(std::to_string(i)));
    std::vector<std::unique_ptr<Backend>> backends;
    for (std::size_t i = 0; i < Bus::max_backends; ++i)
        backends.push_back(std::make_unique<Backend>(*bus, std::to_string(i)));
    for (std::uint32_t i = 0; i < Bus::max_announcers; ++i) {
        emit(ids[i], start(i));
        emit(ids[i], end(i));
    }
    for (auto& backend : backends) EXPECT_EQ(backend->take_all().size(), 2 * Bus::max_announcers);
}

TEST_F(BusMembers, ARemovedBackendReceivesNothing) {
    const auto api = announcer("api");
    QueueLimits one;
    one.events = 1;
    Backend slow(*bus, "slow", all_kinds, one);
    emit(api, start(1));
    pass(11);
    emit(api, end(1));
    pass(11);
    EXPECT_EQ(bus->counters().owed, 1u);
    const auto kept = slow.queue;
    slow.remove();
    EXPECT_TRUE(kept->take().empty());
    EXPECT_EQ(bus->counters().owed, 0u);
    EXPECT_EQ(bus->counters().ended_kept, 0u);
}

TEST_F(BusMembers, ABackendInAReusedSlotStartsWithoutState) {
    const auto api = announcer("api");
    Backend first(*bus, "first");
    emit(api, start(1));
    first.take_all();
    first.remove();
    Backend second(*bus, "second");
    EXPECT_EQ(story(second.take_all()), "s1");
}

TEST_F(BusMembers, ASuccessorReceivesAllLiveFlows) {
    const auto api = announcer("api");
    Backend old(*bus, "firefly");
    emit(api, start(1));
    old.take_all();
    auto fresh = bus->replace_backend(old.queue, {"firefly", all_kinds});
    ASSERT_TRUE(fresh.ok());
    old.queue = *fresh;
    EXPECT_EQ(story(old.take_all()), "s1");
}

TEST_F(BusMembers, EventsQueuedForAPredecessorCanStillBeTakenAndReachOnlyIt) {
    const auto api = announcer("api");
    Backend old(*bus, "firefly");
    emit(api, start(1));
    emit(api, start(2));
    old.take_all();
    emit(api, end(1));
    auto fresh = bus->replace_backend(old.queue, {"firefly", all_kinds});
    ASSERT_TRUE(fresh.ok());
    emit(api, end(2));
    EXPECT_EQ(story(old.take_all()), "E1");
    EXPECT_TRUE(old.queue->take().empty());
    old.queue = *fresh;
    EXPECT_EQ(story(old.take_all()), "s2 e2") << "the flow that was live at the hand-over, and its end once";
}

TEST_F(BusMembers, AnEndThatThePredecessorMissedReachesTheSuccessor) {
    const auto api = announcer("api");
    QueueLimits one;
    one.events = 1;
    Backend old(*bus, "firefly", all_kinds, one);
    emit(api, start(1));
    pass(11);
    emit(api, end(1));
    emit(api, start(2));
    emit(api, end(2));
    auto fresh = bus->replace_backend(old.queue, {"firefly", all_kinds});
    ASSERT_TRUE(fresh.ok());
    EXPECT_EQ(story(old.take_all()), "S1");
    old.queue = *fresh;
    std::string of_flow[3];
    for (const auto& received : old.take_all()) of_flow[received.event.key.destination_port] += "?SOE"[received.event.kind];
    EXPECT_EQ(of_flow[1], "E");
    EXPECT_EQ(of_flow[2], "SE");
    EXPECT_EQ(bus->counters().owed, 0u);
}

/// A backend whose queue of one is full: it has been told the starts of 200 flows and is owed their ends. Who waits for
/// room is called in the middle of its replacement and of its removal, when some records have been dealt with and others
/// not.
class MembershipChange : public FlowsTest {
  protected:
    static constexpr std::uint32_t flows = 200;

    MembershipChange() {
        for (std::uint32_t i = 1; i <= flows; ++i) {
            emit(api, start(i));
            old.take_all();
        }
        emit(api, start(9000));
        const auto waiting = *bus->add_announcer({"waiting", FLOWD_PRECEDENCE_EXPLICIT, 0, [this] {
                                                      ++called;
                                                      if (meanwhile) meanwhile();
                                                  }});
        const auto one_more = start(9001);
        EXPECT_EQ(bus->emit(waiting, &one_more, 1, sizeof one_more, nullptr), FLOWD_FULL);
        steady += 2 * second_ns;
        for (std::uint32_t i = 1; i <= flows; ++i) emit(api, end(i));
        EXPECT_EQ(bus->counters().owed, flows);
    }
    /// "ES" of each flow, by its port.
    static std::map<unsigned, std::string> by_flow(const std::vector<Received>& events) {
        std::map<unsigned, std::string> out;
        for (const auto& received : events) out[received.event.key.destination_port] += "?SOE"[received.event.kind];
        return out;
    }

    AnnouncerId api = announcer("api");
    Backend old{*bus, "firefly", all_kinds, small(1)};
    std::function<void()> meanwhile;
    int called = 0;
};

TEST_F(MembershipChange, ASuccessorReceivesAMissedEndBeforeTheNextStartOfItsTuple) {
    meanwhile = [this] {
        for (std::uint32_t i = 1; i <= flows; ++i) emit(api, start(i));
    };
    auto fresh = bus->replace_backend(old.queue, {"firefly", all_kinds});
    ASSERT_TRUE(fresh.ok());
    EXPECT_EQ(called, 1);
    EXPECT_EQ(story(old.take_all()), "S9000");
    old.queue = *fresh;
    const auto told = by_flow(old.take_all());
    for (std::uint32_t i = 1; i <= flows; ++i) EXPECT_EQ(told.at(i), "ES") << i;
    EXPECT_EQ(bus->counters().owed, 0u);
}

TEST_F(MembershipChange, AMissedEndIsKeptBeyondItsTombstoneUntilTheSuccessorHasIt) {
    meanwhile = [this] {
        steady += 10 * second_ns;
        bus->tick();
    };
    auto fresh = bus->replace_backend(old.queue, {"firefly", all_kinds});
    ASSERT_TRUE(fresh.ok());
    old.take_all();
    old.queue = *fresh;
    const auto told = by_flow(old.take_all());
    for (std::uint32_t i = 1; i <= flows; ++i) EXPECT_EQ(told.at(i), "E") << i;
    EXPECT_EQ(bus->counters().owed, 0u);
    EXPECT_EQ(bus->counters().ended_kept, 0u);
}

TEST_F(MembershipChange, ABackendMayBeRemovedWhileFlowsStartAndEnd) {
    meanwhile = [this] {
        for (std::uint32_t i = 1; i <= flows; ++i) emit(api, start(i));
        for (std::uint32_t i = 1; i <= flows / 2; ++i) emit(api, end(i));
    };
    old.remove();
    EXPECT_EQ(called, 1);
    EXPECT_EQ(bus->counters().owed, 0u);
    Backend next(*bus, "in the same slot");
    const auto told = by_flow(next.take_all());
    EXPECT_EQ(told.size(), flows / 2 + 1) << "the live ones";
    for (std::uint32_t i = flows / 2 + 1; i <= flows; ++i) EXPECT_EQ(told.at(i), "S") << i;
    pass(6);
    EXPECT_EQ(bus->counters().ended_kept, 0u);
}

TEST_F(BusMembers, ASuccessorThatAcceptsOtherKindsReceivesAllLiveFlows) {
    const auto api = announcer("api");
    Backend old(*bus, "firefly", 1u << FLOWD_EVENT_END);
    emit(api, start(1));
    old.take_all();
    auto fresh = bus->replace_backend(old.queue, {"firefly", all_kinds});
    ASSERT_TRUE(fresh.ok());
    old.queue = *fresh;
    EXPECT_EQ(story(old.take_all()), "s1");
}

TEST_F(BusMembers, QueuesMayOutliveTheBusAndAreEmpty) {
    const auto api = announcer("api");
    auto queue = *bus->add_backend({"firefly", all_kinds});
    emit(api, start(1));
    bus.reset();
    EXPECT_TRUE(queue->take().empty());
}

using CatchAllTag = FlowsTest;

flowd_event catch_all(flowd_tag tag) {
    flowd_event event{};
    event.size = sizeof event;
    event.kind = FLOWD_EVENT_CATCH_ALL;
    event.tag = tag;
    return event;
}
flowd_event clear() {
    auto event = catch_all({});
    event.kind = FLOWD_EVENT_CATCH_ALL_CLEAR;
    return event;
}

TEST_F(CatchAllTag, ReachesOnlyBackendsThatAcceptIt) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend marker(*bus, "marker");
    Backend firefly(*bus, "firefly", flow_kinds);
    EXPECT_EQ(emit(meter, catch_all({14, 2})), FLOWD_OK);
    const auto told = marker.take_all();
    ASSERT_EQ(story(told), "C");
    EXPECT_EQ(told[0].event.tag.experiment, 14u);
    EXPECT_NE(told[0].event.flow_id, 0u);
    EXPECT_TRUE(firefly.take_all().empty());
    EXPECT_EQ(bus->count(), 0u) << "it is no flow";
}

TEST_F(CatchAllTag, HasItsOwnTimeOrTheCurrentTime) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend marker(*bus, "marker");
    emit(meter, catch_all({14, 2}));
    const std::int64_t now = epoch_ns + steady;
    EXPECT_EQ(marker.take_all().at(0).event.time_ns, now);
    pass(60);
    auto dated = catch_all({14, 3});
    dated.time_ns = now - second_ns;
    emit(meter, dated);
    EXPECT_EQ(marker.take_all().at(0).event.time_ns, now - second_ns);
}

TEST_F(CatchAllTag, WakesABackendAndIsDeliveredOnce) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend marker(*bus, "marker");
    marker.take_all();
    const int before = marker.wakes;
    emit(meter, catch_all({14, 2}));
    EXPECT_EQ(marker.wakes, before + 1);
    EXPECT_EQ(story(marker.take_all()), "C");
    emit(meter, catch_all({14, 2}));
    EXPECT_TRUE(marker.take_all().empty()) << "repeated and the same";
}

TEST_F(CatchAllTag, TheHighestPrecedenceIsInForceUntilItIsWithdrawn) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    const auto api = announcer("api");
    Backend marker(*bus, "marker");
    emit(meter, catch_all({14, 2}));
    emit(api, catch_all({2, 16}));
    auto told = marker.take_all();
    ASSERT_EQ(story(told), "C");
    EXPECT_EQ(told[0].event.tag.experiment, 2u);
    emit(meter, catch_all({14, 3}));
    EXPECT_TRUE(marker.take_all().empty());
    emit(api, clear());
    told = marker.take_all();
    ASSERT_EQ(story(told), "C");
    EXPECT_EQ(told[0].event.tag.activity, 3u);
    emit(meter, clear());
    EXPECT_EQ(story(marker.take_all()), "X");
}

TEST_F(CatchAllTag, IsWithdrawnWithItsPlugin) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend marker(*bus, "marker");
    emit(meter, catch_all({14, 2}));
    marker.take_all();
    bus->remove_announcer(meter);
    EXPECT_EQ(story(marker.take_all()), "X");
}

TEST_F(CatchAllTag, ANewBackendReceivesTheCurrentOneAndNoEarlierClear) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    emit(meter, catch_all({14, 2}));
    Backend marker(*bus, "marker");
    EXPECT_EQ(story(marker.take_all()), "C");
    emit(meter, clear());
    Backend late(*bus, "late");
    EXPECT_EQ(story(late.take_all()), "");
    EXPECT_EQ(story(marker.take_all()), "X");
}

}  // namespace
}  // namespace flowd::core::test
