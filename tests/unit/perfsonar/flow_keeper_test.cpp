// SPDX-License-Identifier: Apache-2.0
// From what the kernel's table holds to flow events: each start and end once, whatever the core answers.
#include "plugins/perfsonar/flow_keeper.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <chrono>
#include <map>
#include <set>

#include "flowd/testing.hpp"
#include "lib/bpf/flow_key.hpp"
#include "tests/unit/net/own_socket.hpp"

namespace flowd::perfsonar {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t begin = 1000 * second;

/// The kernel's side, in memory.
class FakeSlots final : public FlowSlots {
  public:
    [[nodiscard]] std::optional<meter_flow> read(std::uint32_t slot) const override {
        const auto found = flows.find(slot);
        return found == flows.end() ? meter_flow{} : found->second;
    }
    void hide(std::uint32_t slot) override { hidden.insert(slot); }
    void clear(std::uint32_t slot) override {
        EXPECT_TRUE(hidden.contains(slot)) << "a packet may still be counting it";
        hidden.erase(slot);
        flows.erase(slot);
    }
    void for_each(const std::function<void(std::uint32_t slot)>& each) const override {
        for (const auto& [slot, flow] : flows) each(slot);
    }
    [[nodiscard]] std::optional<std::uint32_t> find(const flow_key& key) const override {
        for (const auto& [slot, flow] : flows)
            if (std::memcmp(&flow.key, &key, sizeof key) == 0 && !hidden.contains(slot)) return slot;
        return std::nullopt;
    }
    std::map<std::uint32_t, meter_flow> flows;
    std::set<std::uint32_t> hidden;
};

class FlowKeeperTest : public ::testing::Test {
  protected:
    FlowKeeperTest() {
        options_.experiment = 2;
        options_.activity = 16;
        host_ = std::move(Host::make(fake_.raw())).value();
        remake();
    }
    void remake() { keeper_.emplace(*host_, slots_, options_, now_); }

    meter_flow& flow(std::uint32_t slot, std::uint8_t protocol = IPPROTO_UDP, const char* remote = "2001:db8::2",
                     std::uint16_t port = 5201) {
        const auto key = make_key({*Address::parse("2001:db8::1"), 40000}, {*Address::parse(remote), port}, protocol);
        meter_flow& made = slots_.flows[slot];
        made.key = bpf::to_flow_key(key);
        made.flags = METER_LOCAL_IS_LOW | METER_OPENED_OUT | METER_OPENING_SEEN | METER_SENT | METER_WORTHY;
        made.start_ns = made.last_ns = static_cast<std::uint64_t>(now_);
        made.bytes[METER_OUT] = 100;
        made.packets[METER_OUT] = 1;
        return made;
    }
    void tell(std::uint32_t slot, std::uint32_t what = METER_EVENT_ENTERED | METER_EVENT_WORTHY) {
        const meter_event event{slot, what};
        keeper_->on_events({&event, 1}, now_);
    }
    void pass(std::int64_t seconds) {
        for (; seconds > 0; --seconds) {
            now_ += second;
            keeper_->tick(now_);
        }
    }
    void close(std::uint32_t slot) {
        slots_.flows[slot].flags |= METER_ENDED;
        slots_.flows[slot].end_ns = static_cast<std::uint64_t>(now_);
        tell(slot, METER_EVENT_ENDED);
    }
    /// How many events of a kind there were.
    [[nodiscard]] std::size_t count(std::uint32_t kind) const {
        std::size_t found = 0;
        for (const auto& event : fake_.events()) found += event->kind == kind ? 1 : 0;
        return found;
    }
    [[nodiscard]] flowd_event last() const { return fake_.events().back().event; }

    std::int64_t now_ = begin;
    PerfsonarOptions options_;
    flowd::testing::FakeHost fake_;
    std::unique_ptr<Host> host_;
    FakeSlots slots_;
    std::optional<FlowKeeper> keeper_;
};

TEST_F(FlowKeeperTest, AFlowThatReachesTheMinimumStartsAtItsFirstPacketWithTheLocalEndAsSource) {
    flow(1).start_ns -= static_cast<std::uint64_t>(3 * second);
    tell(1);
    ASSERT_EQ(fake_.events().size(), 1u);
    const flowd_event event = last();
    EXPECT_EQ(event.kind, static_cast<std::uint32_t>(FLOWD_EVENT_START));
    EXPECT_EQ(source_of(event.key).to_string(), "[2001:db8::1]:40000");
    EXPECT_EQ(destination_of(event.key).to_string(), "[2001:db8::2]:5201");
    EXPECT_EQ(event.flags, static_cast<std::uint32_t>(FLOWD_METERED | FLOWD_NOT_TO_PEER));
    EXPECT_EQ(event.tag.experiment, 2u);
    EXPECT_EQ(event.initiator, FLOWD_INITIATOR_SOURCE);
    EXPECT_NEAR(static_cast<double>(unix_time_ns() - event.start_time_ns), 3e9, 1e9);
}

TEST_F(FlowKeeperTest, AFlowExaminedLateInABatchHasItsRealStartTime) {
    std::int64_t unix_now = 100 * second;
    keeper_.emplace(*host_, slots_, options_, now_, [&] { return unix_now += second; });  // each look takes a second
    flow(1);
    flow(2, IPPROTO_UDP, "2001:db8::3");
    const meter_event events[] = {{1, METER_EVENT_ENTERED | METER_EVENT_WORTHY},
                                  {2, METER_EVENT_ENTERED | METER_EVENT_WORTHY}};
    keeper_->on_events(events, now_);
    ASSERT_EQ(fake_.events().size(), 2u);
    EXPECT_EQ(fake_.events()[1]->start_time_ns, fake_.events()[0]->start_time_ns) << "both began at once";
}

TEST_F(FlowKeeperTest, FlowsNotSentOrTooSmallAreNotAnnouncedAndExpireSoon) {
    flow(1).flags &= ~(METER_SENT | METER_WORTHY);
    tell(1, METER_EVENT_ENTERED);
    pass(15);
    EXPECT_TRUE(fake_.events().empty());
    EXPECT_TRUE(slots_.flows.empty());
    EXPECT_EQ(keeper_->counts().silent, 1u);
}

TEST_F(FlowKeeperTest, SettingTheClockChangesNoDuration) {
    std::int64_t unix_offset = 1 * second - begin;  // a machine that was booted without the time: 1970
    keeper_.emplace(*host_, slots_, options_, now_, [&] { return now_ + unix_offset; });
    flow(1, IPPROTO_TCP);
    tell(1);
    pass(20);
    const std::int64_t day_of_2026 = 1'795'000'000 * second;
    unix_offset += day_of_2026;
    close(1);
    EXPECT_EQ(last().kind, std::uint32_t{FLOWD_EVENT_END});
    EXPECT_EQ(last().end_time_ns - last().start_time_ns, 20 * second) << "whatever the clock did";
    flow(2, IPPROTO_TCP, "2001:db8::3");
    tell(2);
    EXPECT_EQ(last().kind, std::uint32_t{FLOWD_EVENT_START});
    EXPECT_EQ(last().start_time_ns, now_ + unix_offset);
    unix_offset -= 7200 * second;
    pass(5);
    close(2);
    EXPECT_EQ(last().end_time_ns - last().start_time_ns, 5 * second) << "also when it is set back";
}

TEST_F(FlowKeeperTest, AnIdleFlowEndsAtTheTimeOfItsLastPacket) {
    flow(1);
    tell(1);
    pass(30);
    slots_.flows[1].last_ns = static_cast<std::uint64_t>(now_);
    slots_.flows[1].bytes[METER_OUT] = 300;
    const std::int64_t spoke = now_;
    pass(59);
    EXPECT_EQ(count(FLOWD_EVENT_END), 0u);
    pass(2);
    ASSERT_EQ(count(FLOWD_EVENT_END), 1u);
    const flowd_event end = last();
    EXPECT_EQ(end.end_time_ns - end.start_time_ns, spoke - begin);
    EXPECT_EQ(end.usage.bytes_sent, 300u);
    pass(3);
    EXPECT_TRUE(slots_.flows.empty()) << "its slot is free";
    EXPECT_EQ(keeper_->metered(), 0u);
}

TEST_F(FlowKeeperTest, LiveFlowsAreRefreshedBeforeTheCoreExpiresThem) {
    flow(1, IPPROTO_TCP).packets[METER_IN] = 1;
    tell(1);
    pass(300);
    // flows.idleTimeout is 60 s: a start repeated is a sign of life and is not passed on.
    EXPECT_GE(count(FLOWD_EVENT_START), 300u / 30u);
    EXPECT_EQ(count(FLOWD_EVENT_END), 0u);
    EXPECT_EQ(count(FLOWD_EVENT_ONGOING), 0u);
}

TEST_F(FlowKeeperTest, OngoingIsAnnouncedInTheConfiguredPeriod) {
    options_.ongoing = std::chrono::seconds(60);
    remake();
    flow(1, IPPROTO_TCP).packets[METER_IN] = 1;
    tell(1);
    pass(245);
    EXPECT_EQ(count(FLOWD_EVENT_ONGOING), 4u);
}

TEST_F(FlowKeeperTest, AClosedConnectionEndsAtOnceAndKeepsItsSlotForLatePackets) {
    flow(1, IPPROTO_TCP);
    tell(1);
    close(1);
    ASSERT_EQ(count(FLOWD_EVENT_END), 1u);
    pass(4);
    EXPECT_FALSE(slots_.hidden.contains(1)) << "late packets still find it";
    pass(6);
    EXPECT_TRUE(slots_.flows.empty());
    EXPECT_EQ(count(FLOWD_EVENT_END), 1u);
}

TEST_F(FlowKeeperTest, AFlowThatEndedBeforeItWasExaminedHasAStartAndAnEnd) {
    flow(1, IPPROTO_TCP).flags |= METER_ENDED;
    slots_.flows[1].end_ns = static_cast<std::uint64_t>(now_);
    tell(1, METER_EVENT_ENTERED | METER_EVENT_WORTHY);
    ASSERT_EQ(fake_.events().size(), 2u);
    EXPECT_EQ(count(FLOWD_EVENT_START), 1u);
    EXPECT_EQ(count(FLOWD_EVENT_END), 1u);
}

TEST_F(FlowKeeperTest, WhenQueuesAreFullNothingIsLostAndTheOrderIsKept) {
    fake_.accept(0);
    for (std::uint32_t slot = 1; slot <= 200; ++slot) {
        flow(slot, IPPROTO_TCP, "2001:db8::2", static_cast<std::uint16_t>(slot));
        tell(slot);
        close(slot);
    }
    pass(20);
    EXPECT_TRUE(fake_.events().empty());
    EXPECT_EQ(keeper_->waiting(), 400u);
    EXPECT_EQ(slots_.flows.size(), 200u) << "their usage is still needed";
    fake_.accept(33);
    keeper_->on_room();
    EXPECT_EQ(fake_.events().size(), 33u);
    fake_.accept_all();
    keeper_->on_room();
    ASSERT_EQ(fake_.events().size(), 400u);
    std::map<std::uint16_t, std::uint32_t> state;
    for (const auto& event : fake_.events()) {
        std::uint32_t& seen = state[event->key.destination_port];
        EXPECT_EQ(event->kind, seen == 0 ? FLOWD_EVENT_START : FLOWD_EVENT_END);
        ++seen;
    }
    pass(10);
    EXPECT_TRUE(slots_.flows.empty());
}

TEST_F(FlowKeeperTest, EventsAreRetriedAfterATemporaryErrorOfTheCore) {
    fake_.accept(0, FLOWD_NO_MEMORY);
    flow(1);
    tell(1);
    EXPECT_EQ(keeper_->waiting(), 1u);
    fake_.accept_all();
    fake_.advance(std::chrono::seconds(1));
    EXPECT_EQ(count(FLOWD_EVENT_START), 1u) << "although nobody says that there is room";
    EXPECT_EQ(keeper_->waiting(), 0u);
}

TEST_F(FlowKeeperTest, NoEndIsEmittedForARefusedFlow) {
    fake_.accept(0, FLOWD_LIMIT);
    flow(1, IPPROTO_TCP).flags |= METER_ENDED;
    slots_.flows[1].end_ns = static_cast<std::uint64_t>(now_);
    tell(1);
    fake_.accept_all();
    pass(20);
    EXPECT_TRUE(fake_.events().empty());
    EXPECT_EQ(keeper_->counts().refused, 1u);
    EXPECT_EQ(keeper_->announced(), 0u);
}

TEST_F(FlowKeeperTest, AFlowThatTheCoreEndedIsAnnouncedAgainOnlyWithNewTraffic) {
    flow(1, IPPROTO_TCP).packets[METER_IN] = 1;
    tell(1);
    ASSERT_EQ(count(FLOWD_EVENT_START), 1u);
    fake_.end_flow(last().key);  // another announcer ended it
    pass(60);
    EXPECT_EQ(keeper_->announced(), 0u);
    fake_.forget();
    pass(60);
    EXPECT_TRUE(fake_.events().empty()) << "nothing was sent since: no flow of its own begins";
    slots_.flows[1].bytes[METER_OUT] += 1000;
    pass(60);
    EXPECT_GE(count(FLOWD_EVENT_START), 1u);
    EXPECT_EQ(fake_.events()[0]->flow_id, 0u) << "a new flow";
    EXPECT_EQ(keeper_->announced(), 1u);
    EXPECT_EQ(count(FLOWD_EVENT_END), 0u);
}

TEST_F(FlowKeeperTest, RepeatedStartsAndEndsHaveTheFlowId) {
    flow(1, IPPROTO_TCP).packets[METER_IN] = 1;
    tell(1);
    pass(60);
    ASSERT_GE(count(FLOWD_EVENT_START), 2u);
    EXPECT_EQ(fake_.events()[0]->flow_id, 0u);
    EXPECT_NE(fake_.events()[1]->flow_id, 0u);
}

TEST_F(FlowKeeperTest, ExcludedNetworksAndPortsAreNotAnnounced) {
    options_.exclude.networks = {*Network::parse("2001:db8:5::/48")};
    options_.exclude.ports = {22};
    remake();
    flow(1, IPPROTO_UDP, "2001:db8:5::9");
    flow(2, IPPROTO_TCP, "2001:db8::2", 22);
    flow(3, IPPROTO_TCP, "2001:db8::2", 23);
    for (const std::uint32_t slot : {1u, 2u, 3u}) tell(slot);
    ASSERT_EQ(fake_.events().size(), 1u);
    EXPECT_EQ(last().key.destination_port, 23);
    EXPECT_EQ(keeper_->counts().excluded, 2u);
}

TEST_F(FlowKeeperTest, TrafficSentByTheDaemonIsOwn) {
    flow(1).flags |= METER_OWN;
    tell(1);
    EXPECT_TRUE(fake_.events().empty());
    EXPECT_EQ(keeper_->counts().own, 1u);
}

TEST_F(FlowKeeperTest, TrafficOfTheDaemonsSocketsAndListenersIsOwn) {
    flow(1, IPPROTO_TCP).cookie = 77;
    flow(2, IPPROTO_TCP).cookie = 78;
    flow(3, IPPROTO_TCP, "2001:db8::3").flags &= ~std::uint32_t{METER_OPENED_OUT};
    fake_.add_socket(net::own_socket(IPPROTO_TCP, {*Address::parse("2001:db8::1"), 1}, {}, 0, 77));
    fake_.add_socket(net::own_socket(IPPROTO_TCP, {*Address::parse("::"), 40000}, {}, FLOWD_SOCKET_LISTENS, 79));
    for (const std::uint32_t slot : {1u, 2u, 3u}) tell(slot);
    ASSERT_EQ(fake_.events().size(), 1u);
    EXPECT_EQ(destination_of(last().key).address, *Address::parse("2001:db8::2"));
    EXPECT_EQ(keeper_->counts().own, 2u);
}

TEST_F(FlowKeeperTest, AfterLostEventsAScanOfTheTableFindsTheirFlows) {
    flow(1, IPPROTO_TCP);
    flow(2, IPPROTO_TCP).flags |= METER_ENDED;
    slots_.flows[2].end_ns = static_cast<std::uint64_t>(now_);
    keeper_->scan(now_);
    EXPECT_EQ(count(FLOWD_EVENT_START), 2u);
    EXPECT_EQ(count(FLOWD_EVENT_END), 1u);
    keeper_->scan(now_);
    EXPECT_EQ(fake_.events().size(), 3u) << "nothing is told twice";
}

TEST_F(FlowKeeperTest, AFlowWhoseInterfaceIsRemovedEndsUnlessItAppearsOnAnother) {
    flow(1, IPPROTO_TCP).ifindex = 7;
    flow(2, IPPROTO_TCP, "2001:db8::3").ifindex = 7;
    flow(3, IPPROTO_TCP, "2001:db8::4").ifindex = 8;
    for (const std::uint32_t slot : {1u, 2u, 3u}) tell(slot);
    keeper_->interface_gone(7, now_);
    pass(2);
    slots_.flows[2].ifindex = 8;
    slots_.flows[2].last_ns = static_cast<std::uint64_t>(now_);
    pass(5);
    EXPECT_EQ(count(FLOWD_EVENT_END), 1u);
    EXPECT_TRUE(slots_.hidden.contains(1) || !slots_.flows.contains(1));
}

TEST_F(FlowKeeperTest, AtTheStopEveryAnnouncedFlowEndsWithItsUsage) {
    flow(1).bytes[METER_OUT] = 4711;
    flow(2, IPPROTO_UDP, "2001:db8::3");
    tell(1);
    tell(2);
    keeper_->end_all();
    EXPECT_TRUE(keeper_->offer());
    EXPECT_EQ(count(FLOWD_EVENT_END), 2u);
    EXPECT_EQ(keeper_->announced(), 0u);
    EXPECT_EQ(last().end_reason, static_cast<std::uint32_t>(FLOWD_END_WITHDRAWN)) << "the flows themselves may go on";
}

TEST_F(FlowKeeperTest, AtTheStopTheNumberOfUnannouncedFlowsIsKnown) {
    flow(1);
    flow(2, IPPROTO_UDP, "2001:db8::3");
    flow(3, IPPROTO_UDP, "2001:db8::4");
    tell(1);
    fake_.accept(0);
    tell(2);
    tell(3);
    keeper_->end_all();
    EXPECT_FALSE(keeper_->offer());
    EXPECT_EQ(keeper_->unannounced(), 2u) << "the core ends the first one itself";
    fake_.accept_all();
    EXPECT_TRUE(keeper_->offer());
    EXPECT_EQ(keeper_->unannounced(), 0u);
    EXPECT_EQ(count(FLOWD_EVENT_START), 3u);
    EXPECT_EQ(count(FLOWD_EVENT_END), 3u);
}

TEST_F(FlowKeeperTest, ANewTagIsAnnouncedForEveryLiveFlow) {
    flow(1);
    tell(1);
    options_.activity = 17;
    keeper_->reconfigure(options_, now_);
    EXPECT_EQ(last().kind, static_cast<std::uint32_t>(FLOWD_EVENT_START));
    EXPECT_EQ(last().tag.activity, 17u);
}

}  // namespace
}  // namespace flowd::perfsonar
