// SPDX-License-Identifier: Apache-2.0
// Marks: an announcer is told when every backend has settled what was emitted before.
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

struct Marks : FlowsTest {
    AnnouncerId source(const std::string& name, std::size_t& total) {
        AnnouncerOptions options{name};
        options.on_marks = [&total](std::size_t count) { total += count; };
        return *bus->add_announcer(std::move(options));
    }
    std::size_t passed = 0;
    AnnouncerId kafka = source("kafka", passed);
};

TEST_F(Marks, WithoutABackendAMarkIsPassedAtOnce) {
    EXPECT_EQ(bus->mark(kafka), FLOWD_OK);
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, AMarkIsPassedWhenEveryBackendHasTakenWhatWasEmittedBefore) {
    Backend one(*bus, "one");
    Backend two(*bus, "two");
    one.take_all();
    two.take_all();
    emit(kafka, start(1));
    EXPECT_EQ(bus->mark(kafka), FLOWD_OK);
    EXPECT_EQ(passed, 0u);
    one.take_all();
    EXPECT_EQ(passed, 0u) << "two has not taken it";
    ASSERT_EQ(two.queue->take().size(), 1u);
    EXPECT_EQ(passed, 0u) << "it was offered, and not taken";
    EXPECT_TRUE(two.queue->take().empty());
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, LaterEventsDoNotDelayAMark) {
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    bus->mark(kafka);
    for (std::uint32_t i = 2; i <= 300; ++i) emit(kafka, start(i));
    bus->mark(kafka);
    one.take_once();
    one.take_once();
    EXPECT_EQ(passed, 1u);
    one.take_all();
    EXPECT_EQ(passed, 2u);
}

TEST_F(Marks, RefusedAndFailedEventsCountAsSettled) {
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    emit(kafka, start(2));
    bus->mark(kafka);
    ASSERT_EQ(one.queue->take().size(), 2u);
    one.queue->settle(Fate::refused, 1);
    one.queue->settle(Fate::failed, 1);
    EXPECT_TRUE(one.queue->take().empty());
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, TheTakenPartOfABatchCounts) {
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    bus->mark(kafka);
    emit(kafka, start(2));
    bus->mark(kafka);
    ASSERT_EQ(one.queue->take().size(), 2u);
    one.queue->settle(Fate::taken, 1);
    one.queue->hold();
    EXPECT_EQ(passed, 1u) << "it holds the second";
    EXPECT_EQ(story(one.take_all()), "S2");
    EXPECT_EQ(passed, 2u);
}

TEST_F(Marks, OfABackendThatAcknowledgesWhatItHasAcknowledgedCounts) {
    Backend one(*bus, "one");
    one.take_all();
    one.queue->acknowledge(0);
    emit(kafka, start(1));
    emit(kafka, start(2));
    bus->mark(kafka);
    emit(kafka, start(3));
    bus->mark(kafka);
    one.take_all();
    EXPECT_EQ(passed, 0u) << "it has taken all and acknowledged nothing";
    one.queue->acknowledge(1);
    EXPECT_EQ(passed, 0u);
    one.queue->acknowledge(2);
    EXPECT_EQ(passed, 1u);
    one.queue->acknowledge(1);
    bus->mark(kafka);
    EXPECT_EQ(passed, 1u) << "a lower number takes nothing back";
    one.queue->acknowledge(100);
    EXPECT_EQ(passed, 3u);
}

TEST_F(Marks, ABackendThatWasReplacedCountsUntilItHasAcknowledgedOrIsClosed) {
    Backend old(*bus, "old");
    old.take_all();
    old.queue->acknowledge(0);
    emit(kafka, start(1));
    bus->mark(kafka);
    old.take_all();
    BackendOptions options{"old", all_kinds, {}, [] {}};
    auto successor = *bus->replace_backend(old.queue, std::move(options));
    while (!successor->take().empty()) {
    }
    EXPECT_EQ(passed, 0u) << "the predecessor has not acknowledged what it took";
    old.queue->acknowledge(1);
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, ABackendThatIsBehindCountsAfterItsResync) {
    Backend slow(*bus, "slow", all_kinds, small(2));
    slow.take_all();
    emit(kafka, start(1));
    ASSERT_EQ(slow.queue->take().size(), 1u);
    slow.queue->hold();
    for (std::uint32_t i = 2; i <= 6; ++i) ASSERT_EQ(emit(kafka, start(i)), FLOWD_OK);
    ASSERT_EQ(emit(kafka, end(6)), FLOWD_OK);
    bus->mark(kafka);
    std::vector<Received> told;
    std::size_t passed_at = 0;
    for (auto more = slow.take_once(); !more.empty(); more = slow.take_once()) {
        EXPECT_EQ(passed, 0u) << story(told);
        told.insert(told.end(), more.begin(), more.end());
        passed_at = told.size();
    }
    EXPECT_EQ(passed_at, 7u);
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, ANewBackendCountsAfterItHasReceivedTheLiveFlows) {
    emit(kafka, start(1));
    Backend late(*bus, "late");
    bus->mark(kafka);
    EXPECT_EQ(passed, 0u);
    EXPECT_EQ(story(late.take_once()), "s1");
    EXPECT_EQ(passed, 0u);
    late.take_all();
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, ABackendThatIsRemovedNoLongerCounts) {
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    bus->mark(kafka);
    one.remove();
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, AReplacedBackendCountsUntilItsQueueIsTakenAndItsSuccessorIsResynchronised) {
    Backend one(*bus, "one", all_kinds, small(2));
    one.take_all();
    emit(kafka, start(1));
    ASSERT_EQ(one.queue->take().size(), 1u);
    one.queue->hold();
    for (std::uint32_t i = 2; i <= 4; ++i) emit(kafka, start(i));
    emit(kafka, end(4));
    bus->mark(kafka);
    auto old = one.queue;
    auto fresh = bus->replace_backend(old, {"one", all_kinds, {}, {}});
    ASSERT_TRUE(fresh.ok());
    one.queue = *fresh;
    EXPECT_FALSE(one.take_all().empty());
    EXPECT_EQ(passed, 0u) << "the predecessor still has events";
    while (!old->take().empty()) EXPECT_EQ(passed, 0u);
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, AReplacedAndClosedBackendNoLongerCounts) {
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    auto old = one.queue;
    one.queue = *bus->replace_backend(old, {"one", all_kinds, {}, {}});
    bus->mark(kafka);
    one.take_all();
    EXPECT_EQ(passed, 0u);
    EXPECT_EQ(old->close().total(), 1u);
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, AReplacedAndRemovedBackendNoLongerCounts) {
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    const auto old = one.queue;
    one.queue = *bus->replace_backend(old, {"one", all_kinds, {}, {}});
    bus->mark(kafka);
    one.take_all();
    EXPECT_EQ(passed, 0u) << "the predecessor still has an event";
    bus->remove_backend(old);
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, AReplacedBackendCountsUntilItHasSettledItsLastEvents) {
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    bus->mark(kafka);
    const auto old = one.queue;
    one.queue = *bus->replace_backend(old, {"one", all_kinds, {}, {}});
    one.take_all();
    ASSERT_EQ(old->take().size(), 1u);
    bus->mark(kafka);
    EXPECT_EQ(passed, 0u) << "it was offered its last event, and has not settled it";
    EXPECT_TRUE(old->take().empty());
    EXPECT_EQ(passed, 2u);
}

TEST_F(Marks, TheCatchAllCountsAsAnEmittedEvent) {
    Backend marker(*bus, "marker");
    marker.take_all();
    flowd_event all{};
    all.size = sizeof all;
    all.kind = FLOWD_EVENT_CATCH_ALL;
    all.tag = {2, 16};
    emit(kafka, all);
    bus->mark(kafka);
    ASSERT_EQ(marker.queue->take().size(), 1u);
    marker.queue->hold();
    EXPECT_EQ(passed, 0u);
    EXPECT_EQ(marker.queue->take().size(), 1u);
    EXPECT_TRUE(marker.queue->take().empty());
    EXPECT_EQ(passed, 1u);
}

TEST_F(Marks, EachPluginReceivesOnlyItsOwnMarks) {
    std::size_t others = 0;
    const auto other = source("other", others);
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    bus->mark(kafka);
    bus->mark(other);
    bus->mark(kafka);
    one.take_all();
    EXPECT_EQ(passed, 2u);
    EXPECT_EQ(others, 1u);
}

TEST_F(Marks, MarksOfAReplacedOrRemovedPluginAreDropped) {
    Backend one(*bus, "one");
    one.take_all();
    emit(kafka, start(1));
    bus->mark(kafka);
    std::size_t successors = 0;
    AnnouncerOptions options{"kafka"};
    options.on_marks = [&successors](std::size_t count) { successors += count; };
    ASSERT_TRUE(bus->replace_announcer(kafka, std::move(options)));
    bus->mark(kafka);
    one.take_all();
    EXPECT_EQ(passed, 0u);
    EXPECT_EQ(successors, 1u);
    bus->mark(kafka);
    bus->remove_announcer(kafka);
    EXPECT_EQ(bus->mark(kafka), FLOWD_STOPPED);
}

}  // namespace
}  // namespace flowd::core::test
