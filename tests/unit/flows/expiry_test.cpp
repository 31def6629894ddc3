// SPDX-License-Identifier: Apache-2.0
// Flows that nobody ends; samples that tell of it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "core/flows/minutes.hpp"
#include "core/flows/samples.hpp"
#include "core/modules/open_period.hpp"
#include "flowd/unique_fd.hpp"
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

using FlowExpiry = FlowsTest;

flowd_event metered(std::uint32_t number) {
    auto event = start(number);
    event.flags = FLOWD_METERED;
    return event;
}

TEST_F(FlowExpiry, MeteredFlowsEndByIdleTime) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend firefly(*bus, "firefly");
    emit(meter, metered(1));
    pass(59);
    emit(meter, metered(1));
    pass(59);
    EXPECT_EQ(bus->count(), 1u) << "refreshed a minute ago";
    pass(6);
    EXPECT_EQ(bus->count(), 0u);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 E1");
    EXPECT_GT(told[1].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_ANNOUNCED));
    EXPECT_EQ(expired(Expiry::idle), 1u);
}

TEST_F(FlowExpiry, ManyTombstonesEndInOneTick) {
    const auto api = announcer("api");
    constexpr std::uint32_t flows = 10'000;
    for (std::uint32_t i = 1; i <= flows; ++i) emit(api, start(i));
    for (std::uint32_t i = 1; i <= flows; ++i) emit(api, end(i));
    EXPECT_EQ(bus->counters().ended_kept, flows);
    steady += 6 * second_ns;
    bus->tick();
    EXPECT_EQ(bus->counters().ended_kept, 0u);
}

TEST_F(FlowExpiry, AnnouncedFlowsEndByMaxAge) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    pass(24 * 3600 - 60);
    EXPECT_EQ(bus->count(), 1u);
    pass(120);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 E1");
    EXPECT_GT(told[1].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_ANNOUNCED));
    EXPECT_EQ(expired(Expiry::age), 1u);
}

TEST_F(FlowExpiry, AnExpiredFlowLeavesATombstone) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend firefly(*bus, "firefly");
    emit(meter, metered(1));
    // Up to the tick in which it expires.
    for (auto due = bus->tick(); bus->count() == 1; due = bus->tick()) steady = due;
    emit(meter, end(1));
    EXPECT_EQ(story(firefly.take_all()), "S1 E1");
    EXPECT_EQ(effect("perfsonar", Effect::late), 1u);
}

TEST_F(FlowExpiry, EachOfManyFlowsExpiresAtItsTime) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    for (std::uint32_t i = 0; i < 3000; ++i) {
        emit(meter, metered(i));
        if (i % 1000 == 999) pass(18);
    }
    EXPECT_EQ(bus->count(), 3000u);
    pass(10);
    EXPECT_EQ(bus->count(), 2000u);
    pass(18);
    EXPECT_EQ(bus->count(), 1000u);
    pass(18);
    EXPECT_EQ(bus->count(), 0u);
}

TEST_F(FlowExpiry, AnIdleBusNeedsNoTicks) {
    EXPECT_GE(bus->tick() - steady, 30 * second_ns);
}

TEST_F(FlowExpiry, ABusyBusNeedsATickEveryTenMillisecondsAtMost) {
    const auto api = announcer("api");
    QueueLimits limits = small(1);
    limits.stall_after_ns = second_ns / 1000;
    const Backend slow(*bus, "slow", all_kinds, limits);
    emit(api, start(1));
    ASSERT_EQ(emit(api, start(2)), FLOWD_FULL);
    EXPECT_EQ(bus->tick() - steady, second_ns / 100);
}

TEST_F(FlowExpiry, NewLimitsApplyToLiveFlows) {
    const auto api = announcer("api");
    emit(api, start(1));
    pass(100);
    FlowLimits limits;
    limits.max_age_ns = 50 * second_ns;
    bus->set_limits(limits);
    pass(4);
    EXPECT_EQ(bus->count(), 0u);
}

/// A kernel with the connections of a test.
class FakeProbe final : public SocketProbe {
  public:
    struct Kernel {
        std::vector<flowd_key> connections;
        std::vector<Address> addresses;
        bool broken = false;
        bool interrupted = false;
        int dumps = 0;
        std::function<void()> while_dumping;
    };
    explicit FakeProbe(Kernel& kernel) : kernel_(kernel) {}
    Result<void> dump(const Visitor& visitor) override {
        ++kernel_.dumps;
        if (kernel_.while_dumping) kernel_.while_dumping();
        for (const auto& key : kernel_.connections) visitor(key);
        if (kernel_.broken) return Error{FLOWD_ERROR, "broken"};
        return {};
    }
    Result<std::vector<Address>> addresses() override { return kernel_.addresses; }
    void interrupt() override { kernel_.interrupted = true; }

  private:
    Kernel& kernel_;
};

class SocketExpiry : public FlowsTest {
  protected:
    SocketExpiry() {
        FlowLimits limits;
        limits.probe_interval_ns = 60 * second_ns;
        use(limits, std::make_unique<FakeProbe>(kernel));
    }
    void minutes(int count) { pass(60 * count); }
    FakeProbe::Kernel kernel;
};

TEST_F(SocketExpiry, AConnectionThatSockDiagNoLongerListsExpires) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    kernel.connections = {turned(key_of(1))};
    minutes(2);
    kernel.connections.clear();
    minutes(1);
    EXPECT_EQ(bus->count(), 1u) << "missing once proves nothing";
    minutes(1);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 E1");
    EXPECT_GT(told[1].event.end_reason, static_cast<std::uint32_t>(FLOWD_END_ANNOUNCED));
    EXPECT_EQ(expired(Expiry::socket_gone), 1u);
}

TEST_F(SocketExpiry, AConnectionThatReappearsIsKept) {
    const auto api = announcer("api");
    emit(api, start(1));
    for (int i = 0; i < 4; ++i) {
        kernel.connections = {key_of(1)};
        minutes(1);
        kernel.connections.clear();
        minutes(1);
    }
    EXPECT_EQ(bus->count(), 1u);
}

TEST_F(SocketExpiry, FlowsThatSockDiagNeverListedDoNotExpire) {
    const auto api = announcer("api");
    emit(api, start(1));
    auto elsewhere = start(2);
    elsewhere.key.scope = 4026531840;
    emit(api, elsewhere);
    kernel.connections = {key_of(2)};
    minutes(2);
    kernel.connections.clear();
    minutes(10);
    EXPECT_EQ(bus->count(), 2u) << "another host's, and another network namespace's";
}

// case C51
TEST_F(SocketExpiry, AnIncompleteDumpExpiresNothing) {
    const auto api = announcer("api");
    emit(api, start(1));
    kernel.connections = {key_of(1)};
    minutes(1);
    kernel.connections.clear();
    kernel.broken = true;
    minutes(5);
    EXPECT_EQ(bus->count(), 1u);
    EXPECT_EQ(bus->counters().socket_dumps_failed, 5u);
}

TEST_F(SocketExpiry, WithoutFlowsNoDumpIsMade) {
    minutes(5);
    EXPECT_EQ(kernel.dumps, 0);
}

/// With the daemon's own limits; this host has the source address of key_of().
class FlowsWithoutEnd : public SocketExpiry {
  protected:
    FlowsWithoutEnd() {
        use({}, std::make_unique<FakeProbe>(kernel));
        kernel.addresses = {*Address::parse("2001:db8::1")};
    }
};

// case C09
TEST_F(FlowsWithoutEnd, AShortConnectionOfThisHostThatNoDumpShowedEndsSoon) {
    const auto relay = announcer("fireflyp");
    Backend firefly(*bus, "firefly");
    for (std::uint32_t i = 0; i < 10'000; ++i) emit(relay, start(i));
    emit(relay, event_of(FLOWD_EVENT_START, turned(key_of(10'001))));
    firefly.take_all();
    pass(9);
    EXPECT_EQ(bus->count(), 10'001u) << "it may be announced before it is there";
    pass(12);
    EXPECT_EQ(bus->count(), 0u);
    EXPECT_EQ(firefly.take_all().back().event.end_reason, std::uint32_t{FLOWD_END_SOCKET_GONE});
    EXPECT_EQ(expired(Expiry::socket_gone), 10'001u);
}

TEST_F(FlowsWithoutEnd, AConnectionOnLoopbackEndsSoon) {
    const auto relay = announcer("fireflyp");
    auto event = start(1);
    event.key = make_key({*Address::parse("127.0.0.2"), 1}, {*Address::parse("127.0.0.1"), 2}, 6);
    emit(relay, event);
    event.key = make_key({*Address::parse("::1"), 1}, {*Address::parse("::1"), 2}, 6);
    emit(relay, event);
    pass(21);
    EXPECT_EQ(bus->count(), 0u);
}

TEST_F(FlowsWithoutEnd, AConnectionInTheSecondDumpIsKept) {
    const auto api = announcer("api");
    emit(api, start(1));
    pass(12);
    kernel.connections = {key_of(1)};
    pass(60);
    EXPECT_EQ(bus->count(), 1u);
    kernel.connections.clear();
    pass(21);
    EXPECT_EQ(bus->count(), 0u) << "seconds after its socket is gone";
}

TEST_F(FlowsWithoutEnd, FlowsWithoutALocalSocketDoNotExpire) {
    const auto api = announcer("api");
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    std::uint32_t announced = 0;
    const auto put = [&](AnnouncerId who, flowd_event event) {
        event.key.destination_port = static_cast<std::uint16_t>(++announced);
        EXPECT_EQ(emit(who, event), FLOWD_OK);
    };
    auto event = start(1);
    event.key.protocol = 17;
    put(api, event);
    event = start(1);
    event.key.scope = 4026531999;
    put(api, event);
    event = start(1);
    event.local = FLOWD_LOCAL_NONE;
    put(api, event);
    event = start(1);
    event.key.source[15] = 9;
    put(api, event);
    event = start(1);
    event.key = make_key({*Address::parse("fe80::1"), 1}, {*Address::parse("fe80::2"), 1}, 6);
    kernel.addresses.push_back(*Address::parse("fe80::1"));
    put(api, event);
    pass(50);
    event = metered(1);
    put(meter, event);
    pass(50);
    EXPECT_EQ(bus->count(), announced);
    event = start(1);
    event.key = make_key({*Address::parse("fe80::1"), 1}, {*Address::parse("fe80::2"), 1}, 6);
    event.key.zone = 3;
    emit(api, event);
    pass(9);
    pass(12);
    EXPECT_FALSE(bus->find(event.key, [](const flowd_flow&) {})) << "with its zone it would have been found";
}

TEST_F(FlowsWithoutEnd, WhichEndIsLocalIsKnownFromTheAddressesOfThisHost) {
    const auto api = announcer("api");
    const auto local_of = [&](flowd_event event) {
        EXPECT_EQ(emit(api, event), FLOWD_OK);
        std::uint32_t local = 99;
        bus->find(event.key, [&](const flowd_flow& flow) { local = flow.local; });
        return local;
    };
    EXPECT_EQ(local_of(start(1)), std::uint32_t{FLOWD_LOCAL_UNKNOWN}) << "the addresses were not read yet";
    pass(11);
    EXPECT_EQ(local_of(start(2)), std::uint32_t{FLOWD_LOCAL_SOURCE});
    auto event = start(3);
    event.key = turned(event.key);
    EXPECT_EQ(local_of(event), std::uint32_t{FLOWD_LOCAL_DESTINATION});
    event.key = make_key({*Address::parse("::1"), 1}, {*Address::parse("2001:db8::1"), 2}, 6);
    EXPECT_EQ(local_of(event), std::uint32_t{FLOWD_LOCAL_BOTH});
    event.key = make_key({*Address::parse("2001:db8::8"), 1}, {*Address::parse("2001:db8::9"), 2}, 6);
    EXPECT_EQ(local_of(event), std::uint32_t{FLOWD_LOCAL_UNKNOWN});
    event = start(4);
    event.key.scope = 4026531999;
    EXPECT_EQ(local_of(event), std::uint32_t{FLOWD_LOCAL_UNKNOWN}) << "the address belongs to another network namespace";
    event = start(5);
    event.local = FLOWD_LOCAL_NONE;
    EXPECT_EQ(local_of(event), std::uint32_t{FLOWD_LOCAL_NONE}) << "the plugin knows better";
    bus->collect_sums();
    std::uint64_t incoming = 0;
    bus->minutes().visit(0, [&](std::int64_t, const MinuteSum& sum) {
        if (sum.local == FLOWD_LOCAL_DESTINATION) incoming += sum.started;
        return true;
    });
    EXPECT_EQ(incoming, 1u);
}

TEST_F(FlowsWithoutEnd, DumpsTakeAtMostAFiftiethOfTheTime) {
    const auto api = announcer("api");
    emit(api, start(1));
    kernel.connections = {key_of(1)};
    kernel.while_dumping = [this] { steady += 2 * second_ns; };
    pass(1000);
    EXPECT_LE(kernel.dumps, 11);
    EXPECT_GE(kernel.dumps, 8);
}

TEST_F(SocketExpiry, AfterTheEndOfUpkeepATickDoesNothing) {
    const auto api = announcer("api");
    emit(api, start(1));
    bus->end_upkeep();
    EXPECT_TRUE(kernel.interrupted);
    minutes(24 * 60 + 1);
    EXPECT_EQ(kernel.dumps, 0);
    EXPECT_EQ(bus->count(), 1u);
}

TEST(KernelSockets, AnInterruptedProbeEndsWithAnErrorAtOnce) {
    KernelSocketProbe probe;
    probe.interrupt();
    const auto result = probe.dump([](const flowd_key&) {});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, FLOWD_STOPPED);
}

TEST(KernelSockets, TheProbeListsTheAddressesOfThisHost) {
    KernelSocketProbe probe;
    const auto addresses = probe.addresses();
    ASSERT_TRUE(addresses.ok()) << addresses.error().message;
    EXPECT_THAT(*addresses, ::testing::Contains(*Address::parse("127.0.0.1")));
}

TEST(KernelSockets, TheProbeShowsAConnectionFromBothItsEnds) {
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    sockaddr_storage own{};
    length = sizeof own;
    ASSERT_EQ(getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &length), 0);
    const Endpoint here = *Endpoint::from(own);
    const Endpoint there{*Address::parse("127.0.0.1"), ntohs(address.sin_port)};

    KernelSocketProbe probe;
    int from_client = 0;
    int from_server = 0;
    int listening = 0;
    const auto look = [&](const flowd_key& key) {
        from_client += source_of(key) == here && destination_of(key) == there ? 1 : 0;
        from_server += source_of(key) == there && destination_of(key) == here ? 1 : 0;
        listening += source_of(key) == there && destination_of(key).port == 0 ? 1 : 0;
    };
    // The kernel says when the list changed under its hands: then it is asked again.
    Result<void> result = probe.dump(look);
    for (int i = 0; i < 20 && !result; ++i) {
        from_client = from_server = listening = 0;
        result = probe.dump(look);
    }
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(from_client, 1);
    EXPECT_EQ(from_server, 1);
    EXPECT_EQ(listening, 0);
}

class Samples : public FlowsTest {
  protected:
    [[nodiscard]] std::uint64_t id_of(std::uint32_t number) const {
        std::uint64_t id = 0;
        bus->find(key_of(number), [&](const flowd_flow& flow) { id = flow.flow_id; });
        return id;
    }
    static flowd_sample sample(std::uint64_t id) {
        flowd_sample out{};
        out.size = sizeof out;
        out.flow_id = id;
        out.time_ns = epoch_ns;
        return out;
    }
};

TEST_F(Samples, WithoutATimeHaveTheCurrentTime) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    firefly.take_all();
    SamplePeriod period;
    auto one = sample(id_of(1));
    one.time_ns = 0;
    ASSERT_EQ(period.add("netlink", &one), FLOWD_OK);
    bus->apply_samples(period);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "O1");
    EXPECT_EQ(told[0].event.time_ns, epoch_ns + steady);
}

TEST_F(Samples, AllEnrichersOfAPeriodMakeOneOngoing) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    emit(api, start(2));
    firefly.take_all();
    SamplePeriod period;
    auto one = sample(id_of(1));
    auto two = sample(id_of(2));
    const std::string info(248, 'i');
    one.tcp_info = {reinterpret_cast<const std::uint8_t*>(info.data()), info.size()};
    EXPECT_EQ(period.add("netlink", &one), FLOWD_OK);
    EXPECT_EQ(period.add("netlink", &two), FLOWD_OK);
    one.source = text("skops");
    EXPECT_EQ(period.add("skops/a", &one), FLOWD_OK);
    bus->apply_samples(period);
    const auto told = firefly.take_all();
    ASSERT_EQ(told.size(), 2u);
    for (const auto& received : told) {
        EXPECT_TRUE(received.event.flags & FLOWD_SAMPLED);
        EXPECT_EQ(received.event.kind, std::uint32_t{FLOWD_EVENT_ONGOING});
        if (received.is(FLOWD_EVENT_ONGOING, 1))
            EXPECT_THAT(received.sample_sources, ::testing::ElementsAre("netlink", "skops"));
        else
            EXPECT_THAT(received.sample_sources, ::testing::ElementsAre("netlink"));
    }
    EXPECT_EQ(bus->counters().samples, 3u);
}

TEST_F(Samples, TheEndCarriesTheUsageOfTheLastSample) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    SamplePeriod period;
    auto one = sample(id_of(1));
    one.usage = {77, 5, 0, 0, FLOWD_USAGE_KERNEL, FLOWD_USAGE_BYTES};
    period.add("netlink", &one);
    bus->apply_samples(period);
    emit(api, end(1));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1 E1");
    EXPECT_EQ(told[2].event.usage.bytes_sent, 77u);
    EXPECT_TRUE(told[2].event.usage.known & FLOWD_USAGE_BYTES);
}

TEST_F(Samples, AFlowThatTheKernelNoLongerKnowsExpires) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    SamplePeriod period;
    auto one = sample(id_of(1));
    one.flags = FLOWD_SAMPLE_GONE;
    period.add("netlink", &one);
    bus->apply_samples(period);
    EXPECT_EQ(story(firefly.take_all()), "S1 E1");
    EXPECT_EQ(expired(Expiry::enricher_gone), 1u);
}

TEST_F(Samples, ASampleOfAFlowThatEndedMeanwhileIsDroppedAndCounted) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    SamplePeriod period;
    auto one = sample(id_of(1));
    period.add("netlink", &one);
    auto nonsense = sample(~std::uint64_t{0});
    period.add("netlink", &nonsense);
    emit(api, end(1));
    emit(api, start(1));  // the same tuple, another flow
    firefly.take_all();
    bus->apply_samples(period);
    EXPECT_TRUE(firefly.take_all().empty());
    EXPECT_EQ(bus->counters().samples_unknown, 2u);
}

TEST_F(Samples, WithMoreBytesKeepAMeteredFlowLive) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    emit(meter, metered(1));
    for (std::uint64_t i = 1; i <= 4; ++i) {
        pass(50);
        SamplePeriod period;
        auto one = sample(id_of(1));
        one.usage.known = FLOWD_USAGE_BYTES;
        one.usage.bytes_sent = i;
        period.add("netlink", &one);
        bus->apply_samples(period);
    }
    EXPECT_EQ(bus->count(), 1u);
    pass(70);
    EXPECT_EQ(bus->count(), 0u);
}

TEST_F(Samples, ShedAndMalformedSamplesAreCounted) {
    const auto api = announcer("api");
    emit(api, start(1));
    SamplePeriod period(600);
    auto one = sample(id_of(1));
    for (int i = 0; i < 10; ++i) period.add("netlink", &one);
    one.flow_id = 0;
    period.add("netlink", &one);
    const std::uint64_t shed = period.shed();
    EXPECT_GT(shed, 0u);
    bus->apply_samples(period);
    EXPECT_EQ(bus->counters().samples, 10 - shed);
    EXPECT_EQ(bus->counters().samples_shed, shed);
    EXPECT_EQ(bus->counters().samples_invalid, 1u);

    SamplePeriod many;
    one.flow_id = id_of(1);
    for (int i = 0; i < 10; ++i) many.add("netlink", &one);
    bus->apply_samples(many);
    EXPECT_EQ(bus->counters().samples_shed, shed + 2) << "eight of one flow";
}

TEST_F(Samples, LateSamplesAreShedAndCountedWithTheNextPeriod) {
    const auto api = announcer("api");
    emit(api, start(1));
    const auto late = std::make_shared<std::atomic<std::uint64_t>>(0);
    const auto one = sample(id_of(1));
    OpenPeriod first([] {}, late);
    bus->apply_samples(first.close());
    EXPECT_EQ(first.add("slow", &one), FLOWD_STOPPED);
    EXPECT_EQ(first.add("slow", &one), FLOWD_STOPPED);
    OpenPeriod second([] {}, late);
    EXPECT_EQ(second.add("slow", &one), FLOWD_OK);
    bus->apply_samples(second.close());
    EXPECT_EQ(bus->counters().samples_shed, 2u);
    EXPECT_EQ(bus->counters().samples, 1u);
}

TEST_F(Samples, AreShedFromDifferentFlowsInEachPeriod) {
    const auto api = announcer("api");
    QueueLimits few;
    few.events = 64;
    Backend firefly(*bus, "firefly", all_kinds, few);
    constexpr std::uint32_t flows = 200;
    for (std::uint32_t i = 0; i < flows; ++i) {
        emit(api, start(i));
        firefly.take_all();
    }
    std::vector<int> told(flows);
    const auto untold = [&] { return std::count(told.begin(), told.end(), 0); };
    for (int round = 0; round < 500 && untold() > 0; ++round) {  // where each begins depends on the hash of this run
        SamplePeriod period(60 * 300);                           // for about a third of them
        bus->visit([&](std::span<const flowd_flow> seen) {
            for (const auto& flow : seen) {
                auto one = sample(flow.flow_id);
                period.add("netlink", &one);
            }
            return true;
        });
        EXPECT_GT(period.shed(), 0u);
        bus->apply_samples(period);
        for (const auto& received : firefly.take_all()) ++told[received.event.key.destination_port];
    }
    EXPECT_EQ(untold(), 0) << "flows of which no sample was ever told";
}

TEST_F(Samples, AreLimitedAndChecked) {
    SamplePeriod period(1000);
    auto one = sample(1);
    EXPECT_EQ(period.add("netlink", nullptr), FLOWD_INVALID);
    one.size = 8;
    EXPECT_EQ(period.add("netlink", &one), FLOWD_INVALID);
    one = sample(0);
    EXPECT_EQ(period.add("netlink", &one), FLOWD_INVALID);
    one = sample(1);
    one.tcp_info = {nullptr, 10};
    EXPECT_EQ(period.add("netlink", &one), FLOWD_INVALID);
    one = sample(1);
    one.flags = FLOWD_SAMPLE_GONE | 1u << 1;
    EXPECT_EQ(period.add("netlink", &one), FLOWD_INVALID) << "a bit that the core does not know";
    one = sample(1);
    one.usage.known = 1u << 2;
    EXPECT_EQ(period.add("netlink", &one), FLOWD_INVALID);
    one = sample(1);
    flowd_result result = FLOWD_OK;
    int added = 0;
    for (; added < 100 && result == FLOWD_OK; ++added) result = period.add("netlink", &one);
    EXPECT_EQ(result, FLOWD_LIMIT);
    EXPECT_LE(period.bytes(), 1000u);
    EXPECT_EQ(period.invalid(), 6u);
    EXPECT_EQ(period.shed(), 1u);
    period.clear();
    EXPECT_EQ(period.add("netlink", &one), FLOWD_OK);
}

}  // namespace
}  // namespace flowd::core::test
