// SPDX-License-Identifier: Apache-2.0
// What is bounded, what pushes back, what is made good afterwards.
#include "core/flows/catch_all.hpp"
#include "core/flows/delivery.hpp"
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

using Overflow = FlowsTest;

TEST_F(Overflow, WithAFullQueueEmitReturnsFullAndChangesNothing) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly", all_kinds, small(4));
    std::vector<flowd_event> events;
    for (std::uint32_t i = 1; i <= 6; ++i) events.push_back(start(i));
    std::size_t accepted = 0;
    EXPECT_EQ(bus->emit(api, events.data(), events.size(), sizeof(flowd_event), &accepted), FLOWD_FULL);
    EXPECT_EQ(accepted, 4u);
    EXPECT_EQ(bus->count(), 4u);
    EXPECT_EQ(refused("api", Refusal::full), 1u);
    EXPECT_EQ(backend_counters("firefly").refused_full, 1u);
    EXPECT_EQ(story(firefly.take_all()), "S1 S2 S3 S4");
    EXPECT_EQ(bus->emit(api, events.data() + 4, 2, sizeof(flowd_event), &accepted), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "S5 S6");
}

TEST_F(Overflow, OneFullQueueDelaysTheEventForAllBackends) {
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(1));
    Backend quick(*bus, "quick");
    emit(api, start(1));
    EXPECT_EQ(emit(api, end(1)), FLOWD_FULL);
    EXPECT_EQ(story(quick.take_all()), "S1");
    slow.take_all();
    EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
    EXPECT_EQ(story(quick.take_all()), "E1");
    EXPECT_EQ(story(slow.take_all()), "E1");
}

TEST_F(Overflow, OnRoomFollowsAFull) {
    const auto api = announcer("api");
    const auto pipe = announcer("namedpipe");
    Backend firefly(*bus, "firefly", all_kinds, small(1));
    emit(api, start(1));
    EXPECT_EQ(emit(api, start(2)), FLOWD_FULL);
    EXPECT_TRUE(room.empty());
    firefly.take_all();
    EXPECT_THAT(room, ::testing::ElementsAre("api")) << "and namedpipe, which was not, is left alone";
    emit(pipe, start(3));
    firefly.take_all();
    EXPECT_EQ(room.size(), 1u);
}

TEST_F(Overflow, OnRoomIsCalledWhenTheQueueIsHalfEmpty) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly", all_kinds, small(300));
    for (std::uint32_t i = 1; i <= 300; ++i) emit(api, start(i));
    EXPECT_EQ(emit(api, start(301)), FLOWD_FULL);
    firefly.take_once();
    EXPECT_TRUE(room.empty()) << firefly.queue->depth() << " are waiting";
    firefly.take_once();
    EXPECT_EQ(room.size(), 1u) << firefly.queue->depth() << " are waiting";
}

TEST_F(Overflow, RemovingABackendMakesRoom) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly", all_kinds, small(1));
    emit(api, start(1));
    emit(api, start(2));
    firefly.remove();
    EXPECT_THAT(room, ::testing::ElementsAre("api"));
    EXPECT_EQ(emit(api, start(2)), FLOWD_OK);
}

TEST_F(Overflow, OngoingIsShedFirst) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly", all_kinds, small(8));
    for (std::uint32_t i = 1; i <= 6; ++i) emit(api, start(i));
    EXPECT_EQ(emit(api, ongoing(1)), FLOWD_OK) << "accepted, and not delivered";
    EXPECT_EQ(emit(api, start(7)), FLOWD_OK);
    EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "S1 S2 S3 S4 S5 S6 S7 E1");
    EXPECT_EQ(backend_counters("firefly").shed_ongoing, 1u);
}

TEST_F(Overflow, ARetagIsNeverShed) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly", all_kinds, small(4));
    for (std::uint32_t i = 1; i <= 4; ++i) emit(rule, start(i));
    EXPECT_EQ(emit(api, start(1, {3, 14})), FLOWD_FULL);
    bus->find(key_of(1), [](const flowd_flow& flow) { EXPECT_EQ(flow.tag.experiment, 2u); });
    firefly.take_all();
    EXPECT_EQ(emit(api, start(1, {3, 14})), FLOWD_OK);
    EXPECT_EQ(story(firefly.take_all()), "O1");
}

TEST_F(Overflow, AttachmentsAreLimitedByBytes) {
    const auto api = announcer("api");
    QueueLimits limits;
    limits.bytes = 3000;
    Backend firefly(*bus, "firefly", all_kinds, limits);
    const std::string datagram(1000, 'x');
    flowd_attachment attachment{};
    attachment.size = sizeof attachment;
    attachment.id = text(FLOWD_ATTACHMENT_DATAGRAM);
    attachment.bytes = {reinterpret_cast<const std::uint8_t*>(datagram.data()), datagram.size()};
    const auto with = [&](std::uint32_t number) {
        auto event = start(number);
        event.attachments = &attachment;
        event.attachment_count = 1;
        event.attachment_stride = sizeof attachment;
        return event;
    };
    EXPECT_EQ(emit(api, with(1)), FLOWD_OK);
    EXPECT_EQ(emit(api, with(2)), FLOWD_OK);
    EXPECT_EQ(emit(api, with(3)), FLOWD_FULL);
    EXPECT_EQ(emit(api, start(4)), FLOWD_OK) << "what carries nothing still fits";
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 S2 S4");
    ASSERT_EQ(told[0].attachments.size(), 1u);
    EXPECT_EQ(told[0].attachments[0].first, FLOWD_ATTACHMENT_DATAGRAM);
    EXPECT_EQ(told[0].attachments[0].second, datagram);
    EXPECT_EQ(backend_counters("firefly").bytes, 0u);
    EXPECT_EQ(emit(api, with(3)), FLOWD_OK);
}

TEST_F(Overflow, AttachmentsAreSharedNotCopiedPerBackend) {
    const auto api = announcer("api");
    Backend one(*bus, "one");
    Backend two(*bus, "two");
    const std::string value = "{}";
    flowd_attachment attachment{};
    attachment.size = sizeof attachment;
    attachment.id = text("flowd.json/storage-stats");
    attachment.bytes = {reinterpret_cast<const std::uint8_t*>(value.data()), value.size()};
    auto event = start(1);
    event.attachments = &attachment;
    event.attachment_count = 1;
    event.attachment_stride = sizeof attachment;
    emit(api, event);
    const auto first = one.queue->take();
    const auto second = two.queue->take();
    ASSERT_EQ(first.size(), 1u);
    ASSERT_EQ(second.size(), 1u);
    EXPECT_EQ(first[0].attachments, second[0].attachments);
    EXPECT_NE(first[0].attachments[0].bytes.data, attachment.bytes.data);
}

TEST_F(Overflow, AStalledBackendNoLongerPushesBackAndIsResynchronisedLater) {
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(2));
    Backend quick(*bus, "quick");
    emit(api, start(1));
    emit(api, start(2));
    EXPECT_EQ(emit(api, start(3)), FLOWD_FULL);
    pass_ns(second_ns * 9 / 10);
    EXPECT_EQ(emit(api, start(3)), FLOWD_FULL) << "not stalled yet";
    pass_ns(second_ns * 2 / 10);
    EXPECT_THAT(room, ::testing::ElementsAre("api"));
    EXPECT_EQ(emit(api, start(3)), FLOWD_OK);
    EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
    EXPECT_EQ(emit(api, start(4)), FLOWD_OK);
    EXPECT_EQ(emit(api, end(4)), FLOWD_OK);
    EXPECT_TRUE(backend_counters("slow").behind);
    EXPECT_EQ(story(quick.take_all()), "S1 S2 S3 E1 S4 E4");
    pass(60);
    EXPECT_EQ(bus->counters().owed, 2u) << "1 and 4 stay until slow knows of their end";

    std::vector<std::string> of_flow(5);
    for (const auto& received : slow.take_all())
        of_flow[received.event.key.destination_port] +=
            std::string(received.event.flags & FLOWD_RESYNC ? "r" : "") + "?SOE"[received.event.kind];
    EXPECT_EQ(of_flow[1], "SrE");
    EXPECT_EQ(of_flow[2], "S");
    EXPECT_EQ(of_flow[3], "rS");
    EXPECT_EQ(of_flow[4], "rSrE") << "started and ended while it was away";
    EXPECT_EQ(bus->counters().owed, 0u);
    EXPECT_EQ(bus->counters().ended_kept, 0u);
    EXPECT_FALSE(backend_counters("slow").behind);
    EXPECT_EQ(backend_counters("slow").stalls, 1u);
}

TEST_F(Overflow, ABackendIsNotStalledWhileItsQueueIsEmpty) {
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(2));
    emit(api, start(1));
    ASSERT_EQ(slow.queue->take().size(), 1u);
    pass_ns(second_ns * 2);  // it works on that event
    emit(api, start(2));
    emit(api, start(3));
    EXPECT_EQ(emit(api, start(4)), FLOWD_FULL) << "its queue has only just been filled";
    pass_ns(second_ns * 11 / 10);
    EXPECT_EQ(emit(api, start(4)), FLOWD_OK) << "and now it is stalled";
}

TEST_F(Overflow, FlowsOfOneKeyAreResynchronisedInOrder) {
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(1));
    emit(api, start(1));
    pass(11);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
        EXPECT_EQ(emit(api, start(1)), FLOWD_OK);
    }
    std::string kinds;
    std::uint64_t live = 0;
    for (const auto& received : slow.take_all()) {
        kinds += "?SOE"[received.event.kind];
        if (received.event.kind == FLOWD_EVENT_START) {
            EXPECT_EQ(live, 0u);
            live = received.event.flow_id;
        } else {
            EXPECT_EQ(std::exchange(live, 0), received.event.flow_id);
        }
    }
    EXPECT_EQ(kinds, "SESESES");
    EXPECT_EQ(bus->counters().owed, 0u);
}

TEST_F(Overflow, AMissedEndComesBeforeTheNextStartOfItsTuple) {
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(2));
    emit(api, start(1));
    emit(api, start(2));
    pass(11);
    emit(api, end(1));
    EXPECT_EQ(story(slow.take_once()), "S1 S2");
    EXPECT_EQ(emit(api, start(1)), FLOWD_OK) << "there is room, but the end has not been told";
    EXPECT_EQ(story(slow.take_all()), "e1 s1");
}

TEST_F(Overflow, MissedFlowsOfOneKeyAreLimitedAndCounted) {
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(1));
    emit(api, start(1));
    pass(11);
    for (int i = 0; i < 200; ++i) {
        ASSERT_EQ(emit(api, end(1)), FLOWD_OK);
        ASSERT_EQ(emit(api, start(1)), FLOWD_OK);
    }
    EXPECT_GT(backend_counters("slow").given_up, 100u);
    EXPECT_LT(bus->counters().ended_kept, 100u);
    const auto told = slow.take_all();
    EXPECT_EQ(told.back().event.kind, std::uint32_t{FLOWD_EVENT_START});
    EXPECT_EQ(bus->counters().owed, 0u);
}

TEST_F(Overflow, AMissedRetagIsResynchronisedWithTheLatestTag) {
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(1));
    emit(api, start(1, {2, 16}));
    pass(11);
    emit(api, start(1, {2, 17}));
    emit(api, start(1, {2, 18}));
    const auto told = slow.take_all();
    ASSERT_EQ(story(told), "S1 o1");
    EXPECT_TRUE(told[1].event.flags & FLOWD_RETAGGED);
    EXPECT_EQ(told[1].event.tag.activity, 18u);
}

TEST_F(Overflow, AnExpiryThatFindsAQueueFullIsResynchronised) {
    FlowLimits limits;
    limits.max_age_ns = 5 * second_ns;
    use(limits);
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(1));
    emit(api, start(1));
    pass(7);
    EXPECT_EQ(bus->count(), 0u);
    const auto told = slow.take_all();
    ASSERT_EQ(told.size(), 2u);
    EXPECT_EQ(told[1].event.kind, std::uint32_t{FLOWD_EVENT_END});
    EXPECT_GT(told[1].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_ANNOUNCED));
}

TEST_F(Overflow, ResynchronisingUsesHalfOfTheQueue) {
    const auto api = announcer("api");
    for (std::uint32_t i = 1; i <= 500; ++i) emit(api, start(i));
    Backend late(*bus, "late", all_kinds, small(64));
    std::size_t starts = 0;
    while (starts < 500) {
        const auto told = late.take_once();
        ASSERT_FALSE(told.empty());
        for (const auto& received : told) starts += received.event.kind == FLOWD_EVENT_START ? 1 : 0;
        EXPECT_LE(late.queue->depth(), 33u);
    }
    EXPECT_TRUE(late.take_all().empty());
    EXPECT_EQ(starts, 500u);
    EXPECT_EQ(backend_counters("late").resynced, 500u);
}

TEST_F(Overflow, AChangeDuringTheResyncIsDeliveredInOrder) {
    const auto api = announcer("api");
    for (std::uint32_t i = 1; i <= 300; ++i) emit(api, start(i));
    Backend late(*bus, "late", all_kinds, small(16));
    auto told = late.take_once();
    for (std::uint32_t i = 1; i <= 300; ++i)
        while (emit(api, end(i)) == FLOWD_FULL)
            for (auto& received : late.take_once()) told.push_back(received);
    for (auto& received : late.take_all()) told.push_back(received);
    std::vector<std::string> of_flow(301);
    for (const auto& received : told) of_flow[received.event.key.destination_port] += "?SOE"[received.event.kind];
    for (std::size_t i = 1; i <= 300; ++i) EXPECT_EQ(of_flow[i], "SE") << i;
    EXPECT_EQ(bus->counters().owed, 0u);
}

TEST_F(Overflow, WakeIsCalledOnceUntilTheQueueIsEmpty) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    EXPECT_EQ(firefly.wakes, 1) << "a new backend has to look at the live flows";
    EXPECT_TRUE(firefly.take_all().empty());
    emit(api, start(1));
    emit(api, start(2));
    EXPECT_EQ(firefly.wakes, 2);
    firefly.take_all();
    emit(api, end(1));
    EXPECT_EQ(firefly.wakes, 3);
}

TEST_F(Overflow, ABackendReceivesOnlyTheKindsThatItAccepts) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api");
    Backend ends(*bus, "ends", 1u << FLOWD_EVENT_END);
    Backend starts(*bus, "starts", 1u << FLOWD_EVENT_START);
    emit(rule, start(1));
    emit(api, start(1, {3, 14}));
    emit(api, ongoing(1));
    emit(api, end(1));
    EXPECT_EQ(story(ends.take_all()), "E1");
    EXPECT_EQ(story(starts.take_all()), "S1");
    EXPECT_EQ(bus->counters().owed, 0u);
}

TEST_F(Overflow, NewLimitsApplyToQueuesInUse) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly", all_kinds, small(2));
    emit(api, start(1));
    emit(api, start(2));
    EXPECT_EQ(emit(api, start(3)), FLOWD_FULL);
    bus->set_queue_limits(small(4));
    EXPECT_THAT(room, ::testing::ElementsAre("api")) << "it was told FULL, and two of four are free";
    EXPECT_EQ(emit(api, start(3)), FLOWD_OK);
    EXPECT_EQ(backend_counters("firefly").capacity, 4u);
    bus->set_queue_limits(small(1));
    EXPECT_EQ(emit(api, start(4)), FLOWD_FULL);
    EXPECT_EQ(story(firefly.take_all()), "S1 S2 S3") << "what was in it stays";
    EXPECT_EQ(emit(api, start(4)), FLOWD_OK);
}

TEST_F(Overflow, ABlockedBackendDoesNotPushBackUntilItsQueueIsHalfEmpty) {
    const auto api = announcer("api");
    Backend slow(*bus, "slow", all_kinds, small(400));
    Backend quick(*bus, "quick");
    std::uint32_t next = 1;
    while (emit(api, start(next)) == FLOWD_OK) ++next;
    pass(2);
    EXPECT_EQ(slow.take_once().size(), 128u) << "it has come back, and its queue has room";
    for (int i = 0; i < 200; ++i) ASSERT_EQ(emit(api, start(next++)), FLOWD_OK) << "full again, and nobody waits";
    while (backend_counters("slow").depth > 200) slow.take_once();
    slow.take_once();
    for (int i = 0; i < 400 && emit(api, start(next)) == FLOWD_OK; ++i) ++next;
    EXPECT_EQ(emit(api, start(next)), FLOWD_FULL) << "as before it blocked";
}

TEST_F(Overflow, ABackendThatReturnedFullDelaysNobodyAndIsResynchronised) {
    const auto api = announcer("api");
    Backend held(*bus, "held", all_kinds, small(8));
    Backend quick(*bus, "quick");
    emit(api, start(1));
    ASSERT_EQ(held.queue->take().size(), 1u);
    held.queue->hold();
    std::string expected = "S1";
    for (std::uint32_t i = 2; i <= 30; ++i) {
        ASSERT_EQ(emit(api, start(i)), FLOWD_OK) << i;
        expected += " S" + std::to_string(i);
    }
    EXPECT_EQ(story(quick.take_all()), expected);
    EXPECT_EQ(backend_counters("held").refused_full, 0u);
    EXPECT_EQ(backend_counters("held").held, 1u);
    EXPECT_TRUE(backend_counters("held").behind);
    const auto told = held.take_all();
    ASSERT_EQ(told.size(), 30u);
    EXPECT_EQ(story(told).substr(0, 26), "S1 S2 S3 S4 S5 S6 S7 S8 S9") << "what it was offered before, then its queue";
    EXPECT_EQ(bus->counters().owed, 0u);
}

TEST_F(Overflow, OnRoomIsCalledWhenTheBackendReturnsFull) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly", all_kinds, small(200));
    std::uint32_t next = 1;
    while (emit(api, start(next)) == FLOWD_OK) ++next;
    ASSERT_EQ(firefly.queue->take().size(), 128u);
    room.clear();
    while (emit(api, start(next)) == FLOWD_OK) ++next;
    ASSERT_TRUE(room.empty());
    firefly.queue->hold();
    EXPECT_THAT(room, ::testing::ElementsAre("api"));
    EXPECT_EQ(emit(api, start(next)), FLOWD_OK);
}

TEST_F(Overflow, TakenRefusedAndFailedEventsAreCountedAndTheRestIsOfferedAgain) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    firefly.take_all();
    for (std::uint32_t i = 1; i <= 6; ++i) emit(api, start(i));
    ASSERT_EQ(firefly.queue->take().size(), 6u);
    firefly.queue->settle(Fate::taken, 2);
    firefly.queue->settle(Fate::refused, 1);
    firefly.queue->hold();
    EXPECT_EQ(backend_counters("firefly").delivered[FLOWD_EVENT_START], 2u);
    EXPECT_EQ(story(firefly.take_once()), "S4 S5 S6");
    firefly.queue->settle(Fate::failed, 1);
    EXPECT_TRUE(firefly.take_all().empty());
    const auto counters = backend_counters("firefly");
    EXPECT_EQ(counters.delivered[FLOWD_EVENT_START], 4u);
    EXPECT_EQ(counters.refused, 1u);
    EXPECT_EQ(counters.failed, 1u);
    EXPECT_EQ(counters.held, 1u);
}

TEST_F(Overflow, ACatchAllThatWasNotTakenIsOfferedAgain) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend marker(*bus, "marker");
    flowd_event all{};
    all.size = sizeof all;
    all.kind = FLOWD_EVENT_CATCH_ALL;
    all.tag = {2, 16};
    emit(meter, all);
    ASSERT_EQ(marker.queue->take().size(), 1u);
    marker.queue->hold();
    emit(meter, start(1));
    EXPECT_EQ(story(marker.take_all()), "C S1");
}

TEST_F(Overflow, EventsThatAClosedBackendDidNotTakeAreCountedByKind) {
    const auto api = announcer("api");
    Backend quick(*bus, "quick");
    Backend slow(*bus, "slow", all_kinds, small(2));
    emit(api, start(1));
    emit(api, start(2));
    ASSERT_EQ(slow.queue->take().size(), 2u);
    slow.queue->settle(Fate::taken, 1);
    slow.queue->hold();
    for (std::uint32_t i = 3; i <= 5; ++i) emit(api, start(i));
    for (std::uint32_t i = 1; i <= 5; ++i) emit(api, end(i));
    // Start 2 is held, 3 and 4 are queued; start 5 and all the ends are owed.
    const Remains remains = slow.queue->close();
    EXPECT_EQ(remains.events[FLOWD_EVENT_START], 4u);
    EXPECT_EQ(remains.events[FLOWD_EVENT_END], 5u);
    EXPECT_EQ(remains.total(), 9u);
    EXPECT_TRUE(slow.queue->take().empty()) << "it has been closed";
    EXPECT_EQ(slow.queue->close().total(), 0u) << "and what remained was counted once";
    EXPECT_EQ(emit(api, start(6)), FLOWD_OK) << "it holds nobody back";
}

TEST_F(Overflow, EventsThatWereTakenCanBeReadAfterTheBackendIsRemoved) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    for (std::uint32_t i = 1; i <= 500; ++i) {  // of several chunks, of which it has one
        auto event = start(i);
        event.application = text("xrootd");
        emit(api, event);
    }
    const auto queue = firefly.queue;
    const auto taken = queue->take();
    firefly.remove();
    ASSERT_EQ(taken.size(), 128u);
    for (std::size_t i = 0; i < taken.size(); ++i) {
        EXPECT_EQ(taken[i].key.destination_port, i + 1);
        EXPECT_EQ(text(taken[i].application), "xrootd");
    }
    EXPECT_EQ(queue->depth(), 0u) << "what it had not taken is dropped";
    EXPECT_EQ(queue->close().total(), 128u) << "and those that it took have no fate";
}

TEST_F(Overflow, ABackendThatStaysFullUsesLimitedMemoryAndItsLossesAreCounted) {
    FlowLimits limits;
    limits.max_live = 1000;
    use(limits);
    const auto api = announcer("api");
    Backend held(*bus, "held", all_kinds, small(100));
    Backend quick(*bus, "quick");
    emit(api, start(0));
    ASSERT_EQ(held.queue->take().size(), 1u);
    held.queue->hold();
    std::uint64_t heard = 0;
    constexpr std::uint32_t flows = 20'000;
    for (std::uint32_t i = 1; i <= flows; ++i) {
        ASSERT_EQ(emit(api, start(i)), FLOWD_OK);
        ASSERT_EQ(emit(api, end(i)), FLOWD_OK);
        if (i % 50 == 0) heard += quick.take_all().size();
        if (i % 1000 == 0) pass(1);
    }
    heard += quick.take_all().size();
    EXPECT_EQ(heard, 1 + 2 * flows);
    const auto counters = backend_counters("held");
    EXPECT_LE(counters.high_water, 100u);
    EXPECT_LE(bus->counters().ended_kept, 1000u);
    // A flow that is given up costs it an end, and a start unless that was queued; what is still owed can still come.
    EXPECT_EQ(counters.given_up + bus->counters().owed, flows - 50) << "50 flows fitted into its queue, whole";
    EXPECT_EQ(backend_counters("quick").given_up, 0u);
}

TEST_F(Overflow, ABackendDoesNotWaitForAPluginThatHasPushedAndNotYetToldIt) {
    Membership members;
    FlowHistory history{1, epoch_ns};
    FlowTable table{FlowLimits{}, clock(), nullptr, members, history};
    const CatchAll catch_all{members};
    const auto delivery = std::make_shared<Delivery>(table, catch_all, members, clock());
    int wakes = 0;
    const auto queue = *delivery->add({"firefly", all_kinds, small(4), [&] { ++wakes; }}, delivery);
    const Outgoing event{start(1), {}, {}};
    ASSERT_TRUE(queue->take().empty());
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(queue->open(0, 0, steady), DeliveryQueue::Room::yes);
        queue->push(event, steady);
        queue->release();
    }
    queue->miss();  // the queue is more than half full, so that no resynchronisation begins
    const int before = wakes;
    EXPECT_TRUE(queue->take().empty()) << "instead of looking again and again";
    queue->tell();
    EXPECT_EQ(wakes, before + 1);
    EXPECT_EQ(queue->take().size(), 3u);
    delivery->remove(queue);
}

TEST_F(Overflow, EdgesAreCounted) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    firefly.take_all();
    emit(api, start(1));
    emit(api, start(2));
    emit(api, end(1));
    EXPECT_EQ(backend_counters("firefly").depth, 3u);
    pass_ns(3'000'000);
    firefly.take_all();
    const auto in = announcer_counters("api");
    EXPECT_EQ(in.offered[FLOWD_EVENT_START], 2u);
    EXPECT_EQ(in.offered[FLOWD_EVENT_END], 1u);
    EXPECT_EQ(in.accepted, 3u);
    EXPECT_EQ(in.live, 1u);
    const auto out = backend_counters("firefly");
    EXPECT_EQ(out.delivered[FLOWD_EVENT_START], 2u);
    EXPECT_EQ(out.delivered[FLOWD_EVENT_END], 1u);
    EXPECT_EQ(out.depth, 0u);
    EXPECT_EQ(out.high_water, 3u);
    EXPECT_EQ(out.latency[12], 3u) << "3 ms lie between 2^11 and 2^12 us";
    EXPECT_EQ(out.latency_sum_us, 9000u);
}

}  // namespace
}  // namespace flowd::core::test
