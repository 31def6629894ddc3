// SPDX-License-Identifier: Apache-2.0
// The flow table without queues: an event in, a change out.
#include <mutex>
#include <vector>

#include "core/flows/flow_table.hpp"
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

constexpr std::uint32_t first = 1u << 0;
constexpr std::uint32_t second = 1u << 1;

class FlowTableWithoutDelivery : public ::testing::Test, protected FlowTable::Listener {
  protected:
    FlowTableWithoutDelivery() {
        table.add_recipient(0, flow_kinds);
        table.add_recipient(1, 1u << FLOWD_EVENT_END);
    }
    void ended(FlowTable::Shard&, const Flow& flow, std::uint32_t to, Now) override { expired.emplace_back(flow.id, to); }
    void released() override {}

    struct Outcome {
        Change change;
        flowd_result result = FLOWD_OK;
        Outgoing event{};
    };
    /// What the table decides and, if somebody has room, does.
    Outcome offer(const flowd_event& event, std::uint32_t told, bool apply = true) {
        Incoming in;
        EXPECT_FALSE(table.take_in(&event, sizeof event, in));
        FlowTable::Shard& shard = table.shard_of(in);
        const std::lock_guard lock(shard);
        const Offer own{api, table.now(), tally, &in};
        Outcome out;
        out.change = table.decide(shard, own);
        out.change.told = told & out.change.to;
        if (apply) out.result = table.apply(shard, own, out.change, out.event);
        return out;
    }
    std::uint32_t due(std::uint64_t id, std::uint32_t bit) {
        FlowTable::Shard& shard = table.shard_of(id);
        const std::lock_guard lock(shard);
        return FlowTable::due(shard, *FlowTable::by_id(shard, id), bit);
    }
    void tell(std::uint64_t id, std::uint32_t bit, std::uint32_t kind) {
        FlowTable::Shard& shard = table.shard_of(id);
        const std::lock_guard lock(shard);
        table.told(shard, *FlowTable::by_id(shard, id), bit, kind, table.now());
    }
    bool has_record(std::uint64_t id) {
        FlowTable::Shard& shard = table.shard_of(id);
        const std::lock_guard lock(shard);
        return FlowTable::by_id(shard, id) != nullptr;
    }
    const FlowTable::Shard* shard_of(std::uint32_t number) {
        const flowd_event event = start(number);
        Incoming in;
        EXPECT_FALSE(table.take_in(&event, sizeof event, in));
        return &table.shard_of(in);
    }
    std::uint64_t ended_kept() {
        BusCounters counters;
        table.count(counters);
        return counters.ended_kept;
    }
    void pass(std::int64_t seconds) {
        steady += seconds * second_ns;
        table.tick(table.now(), *this);
    }

    std::int64_t steady = 1000 * second_ns;
    Membership members;
    FlowHistory history{100, epoch_ns};
    FlowTable table{FlowLimits{}, Clock{[this] { return steady; }, [this] { return epoch_ns + steady; }}, nullptr, members,
                    history};
    AnnouncerId api = *members.add_announcer({"api"});
    Tally tally;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> expired;  ///< flow, and who has to be told
};

TEST_F(FlowTableWithoutDelivery, ReturnsTheBackendsToNotify) {
    const auto begun = offer(start(1), first | second);
    EXPECT_EQ(begun.change.step, Change::Step::begin);
    EXPECT_TRUE(begun.change.must);
    EXPECT_EQ(begun.change.to, first);
    EXPECT_EQ(begun.event.event.kind, FLOWD_EVENT_START);
    EXPECT_EQ(begun.event.event.flow_id, begun.change.flow_id);

    const auto refreshed = offer(start(1), first | second);
    EXPECT_EQ(refreshed.change.step, Change::Step::refresh);
    EXPECT_EQ(refreshed.change.to, 0u);

    const auto over = offer(end(1), first | second);
    EXPECT_EQ(over.change.step, Change::Step::end);
    EXPECT_EQ(over.change.to, first | second);
    EXPECT_EQ(offer(end(1), 0).change.step, Change::Step::none);
}

TEST_F(FlowTableWithoutDelivery, ChangesNothingBeforeAChangeIsApplied) {
    EXPECT_EQ(offer(start(1), 0, false).change.step, Change::Step::begin);
    EXPECT_EQ(table.live(), 0u);
    offer(start(1), first);
    EXPECT_EQ(offer(end(1), 0, false).change.step, Change::Step::end);
    EXPECT_EQ(table.live(), 1u);
    EXPECT_EQ(offer(start(1, {3, 3}), 0, false).change.retag, true);
    EXPECT_EQ(offer(start(1, {3, 3}), 0, false).change.retag, true);
}

TEST_F(FlowTableWithoutDelivery, RemembersEventsThatABackendHasNotReceived) {
    const std::uint64_t id = offer(start(1), 0).change.flow_id;
    EXPECT_EQ(due(id, first), FLOWD_EVENT_START);
    EXPECT_EQ(due(id, second), 0u);
    EXPECT_EQ(offer(start(1, {3, 3}), first).change.to, 0u) << "of a flow whose start it does not know";
    tell(id, first, FLOWD_EVENT_START);
    EXPECT_EQ(due(id, first), 0u) << "the start had the new tag";
    offer(start(1, {4, 4}), 0);
    EXPECT_EQ(due(id, first), FLOWD_EVENT_ONGOING);
}

TEST_F(FlowTableWithoutDelivery, KeepsARecordUntilAllBackendsHaveItsEnd) {
    offer(start(1), first);
    const std::uint64_t id = offer(end(1), first).change.flow_id;
    pass(6);
    EXPECT_EQ(ended_kept(), 1u);
    EXPECT_EQ(due(id, second), FLOWD_EVENT_END);
    tell(id, second, FLOWD_EVENT_END);
    EXPECT_EQ(ended_kept(), 0u);
}

TEST_F(FlowTableWithoutDelivery, KeepsOnlyATombstoneOnceAllBackendsHaveTheEnd) {
    const std::uint64_t id = offer(start(1), first).change.flow_id;
    offer(end(1), first | second);
    EXPECT_FALSE(has_record(id));
    EXPECT_EQ(ended_kept(), 1u);
    EXPECT_EQ(offer(end(1), first | second).change.step, Change::Step::none);
    EXPECT_EQ(tally.effects[static_cast<std::size_t>(Effect::double_end)], 1u);
}

TEST_F(FlowTableWithoutDelivery, ATombstoneBeginsAtTheEndEvenIfABackendReceivesItLater) {
    offer(start(1), first);
    const std::uint64_t id = offer(end(1), first).change.flow_id;
    pass(3);
    EXPECT_TRUE(has_record(id));
    tell(id, second, FLOWD_EVENT_END);
    EXPECT_FALSE(has_record(id));
    EXPECT_EQ(offer(end(1), first | second).change.step, Change::Step::none) << "until five seconds after the end";
    pass(2);
    EXPECT_EQ(ended_kept(), 0u);
}

TEST_F(FlowTableWithoutDelivery, AnExpiredFlowWithoutBackendsLeavesATombstone) {
    table.retire_recipient(0);
    table.forget_recipient(*this);
    table.retire_recipient(1);
    table.forget_recipient(*this);
    auto metered = start(1);
    metered.flags = FLOWD_METERED;
    const std::uint64_t id = offer(metered, 0).change.flow_id;
    pass(61);
    EXPECT_FALSE(has_record(id));
    EXPECT_EQ(ended_kept(), 1u);
    pass(6);
    EXPECT_EQ(ended_kept(), 0u);
}

TEST_F(FlowTableWithoutDelivery, AMissedEndIsPassedToTheSuccessor) {
    offer(start(1), first);
    const std::uint64_t id = offer(end(1), second).change.flow_id;
    table.replace_recipient(0, 2, flow_kinds);
    table.forget_recipient(*this);
    EXPECT_EQ(due(id, 1u << 2), FLOWD_EVENT_END);
    pass(6);
    EXPECT_EQ(ended_kept(), 1u);
}

TEST_F(FlowTableWithoutDelivery, ARemovedBackendThatMissedTwoEndsOfAKeyLeavesTheTombstoneOfTheLater) {
    const auto flow_that_second_missed = [&] {
        offer(start(1), first);
        return offer(end(1), first).change.flow_id;
    };
    const std::uint64_t before = flow_that_second_missed();
    flow_that_second_missed();
    tell(before, second, FLOWD_EVENT_END);
    pass(3);
    flow_that_second_missed();  // in the record of the first: a walk by index comes to the later one first
    pass(3);
    table.retire_recipient(1);
    table.forget_recipient(*this);
    EXPECT_EQ(offer(end(1), first).change.step, Change::Step::none) << "until five seconds after the later end";
    pass(2);
    EXPECT_EQ(ended_kept(), 0u);
}

TEST_F(FlowTableWithoutDelivery, AStartThatReplacesATombstoneInAFullTableCostsNoUndeliveredEnd) {
    const FlowTable::Shard* const shard = shard_of(1);
    std::uint32_t in_same_shard = 2;
    while (shard_of(in_same_shard) != shard) ++in_same_shard;
    offer(end(1), first | second);
    const std::uint64_t owed = offer(end(in_same_shard), 0).change.flow_id;
    FlowLimits limits;
    limits.max_live = 2;
    table.set_limits(limits);
    EXPECT_EQ(offer(start(1), first).change.step, Change::Step::begin);
    EXPECT_TRUE(has_record(owed));
    EXPECT_EQ(table.live() + ended_kept(), 2u);
}

TEST_F(FlowTableWithoutDelivery, AnUndeliveredEndDoesNotKeepTheIdsOfThoseAfterIt) {
    const auto bytes = [&] {
        BusCounters counters;
        table.count(counters);
        return counters.table_bytes;
    };
    // So many that each shard has one that stays.
    for (std::uint32_t number = 1; number <= 1000; ++number) offer(end(number), first);
    const std::uint64_t before = bytes();
    for (int round = 0; round < 200; ++round) {
        std::vector<std::uint64_t> ids;
        for (std::uint32_t number = 1001; number <= 2000; ++number) ids.push_back(offer(end(number), first).change.flow_id);
        for (const std::uint64_t id : ids) tell(id, second, FLOWD_EVENT_END);
        pass(6);
    }
    EXPECT_LT(bytes(), before + 1'000'000) << "200,000 ids are 1.6 MB";
    EXPECT_EQ(ended_kept(), 1000u);
}

TEST_F(FlowTableWithoutDelivery, ReportsExpiredFlowsToItsListener) {
    auto metered = start(1);
    metered.flags = FLOWD_METERED;
    const std::uint64_t id = offer(metered, first).change.flow_id;
    pass(61);
    ASSERT_EQ(expired.size(), 1u);
    EXPECT_EQ(expired.front(), std::pair(id, first | second));
    EXPECT_EQ(table.live(), 0u);
}

}  // namespace
}  // namespace flowd::core::test
