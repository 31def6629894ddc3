// SPDX-License-Identifier: Apache-2.0
// All instances of a configuration: the order of starting and stopping, and what one failure means for the rest.
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

struct SupervisorTest : Rig {
    /// Notes the order of a step over all instances.
    void note(const std::string& key) {
        Scripts::of(key).start = [this, key]() -> flowd_result { return add("start " + key); };
        Scripts::of(key).stop = [this, key]() -> flowd_result { return add("stop " + key); };
    }
    flowd_result add(const std::string& what) {
        const std::lock_guard lock(mutex_);
        order_.push_back(what);
        return FLOWD_OK;
    }
    std::mutex mutex_;
    std::vector<std::string> order_;
};

TEST_F(SupervisorTest, BackendsStartBeforePluginsAndStopAfterThem) {
    note("p");
    note("b");
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    supervisor().stop();
    EXPECT_THAT(order_, ::testing::ElementsAre("start b", "start p", "stop p", "stop b"));
    EXPECT_FALSE(supervisor().must_exit_hard());
}

TEST_F(SupervisorTest, EndsNotDeliveredAtTheStopAreCountedEvenIfNeverQueued) {
    settings_.queues.events = 64;
    settings_.stop_timeout = 300ms;
    Scripts::of("b").on_part = [](const flowd_event*, std::size_t, std::size_t*) -> flowd_result { return FLOWD_FULL; };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    const flowd_host* host = Scripts::of("p").host;
    for (std::uint32_t n = 0; n < 1000; ++n) {
        const flowd_event one = event(FLOWD_EVENT_START, n);
        ASSERT_TRUE(eventually([&] { return host->emit(host, &one, 1, sizeof one, nullptr, nullptr) == FLOWD_OK; }));
    }
    supervisor().stop();
    EXPECT_EQ(supervisor().events_lost(), 2000U);
    EXPECT_THAT(log(), ::testing::HasSubstr("backend b did not take 2000 events: 1000 starts, 1000 ends, 0 others"));
}

TEST_F(SupervisorTest, AfterAFailedStartTheOthersAreStoppedWithThatReason) {
    Scripts::of("p").start = []() -> flowd_result { return FLOWD_BUSY; };
    EXPECT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::busy);
    EXPECT_EQ(Scripts::of("p").stop_reason, static_cast<std::uint32_t>(FLOWD_STOP_FAILED));
    EXPECT_EQ(Scripts::of("b").stop_reason, static_cast<std::uint32_t>(FLOWD_STOP_FAILED));
}

TEST_F(SupervisorTest, EventsEmittedDuringTheStopReachTheBackends) {
    std::atomic<int> ends{0};
    Script& plugin = Scripts::of("p");
    plugin.start = [&plugin]() -> flowd_result {
        const flowd_event one = event(FLOWD_EVENT_START, 1);
        return plugin.host.load()->emit(plugin.host, &one, 1, sizeof one, nullptr, nullptr);
    };
    plugin.stop = [&plugin]() -> flowd_result {
        const flowd_event one = event(FLOWD_EVENT_END, 1);
        return plugin.host.load()->emit(plugin.host, &one, 1, sizeof one, nullptr, nullptr);
    };
    Scripts::of("b").on_events = [&](const flowd_event* events, std::size_t count) -> flowd_result {
        for (std::size_t i = 0; i < count; ++i) ends += events[i].kind == FLOWD_EVENT_END ? 1 : 0;
        return FLOWD_OK;
    };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    supervisor().stop();
    EXPECT_EQ(ends, 1);
}

TEST_F(SupervisorTest, LiveFlowsEndAsWithdrawnWhenTheDaemonStops) {
    std::atomic<std::uint32_t> reason{0};
    Script& plugin = Scripts::of("p");
    plugin.start = [&plugin]() -> flowd_result {
        const flowd_event one = event(FLOWD_EVENT_START, 1);
        return plugin.host.load()->emit(plugin.host, &one, 1, sizeof one, nullptr, nullptr);
    };
    Scripts::of("b").on_events = [&](const flowd_event* events, std::size_t count) -> flowd_result {
        for (std::size_t i = 0; i < count; ++i)
            if (events[i].kind == FLOWD_EVENT_END) reason = events[i].end_reason;
        return FLOWD_OK;
    };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    supervisor().stop();
    EXPECT_EQ(reason, static_cast<std::uint32_t>(FLOWD_END_WITHDRAWN)) << "no flow is left without an end";
}

TEST_F(SupervisorTest, ABackendThatFailsToStartReceivesNoEvents) {
    std::atomic<int> calls{0};
    Script& plugin = Scripts::of("p");
    plugin.start = [&plugin]() -> flowd_result {
        const flowd_event one = event(FLOWD_EVENT_START, 1);
        return plugin.host.load()->emit(plugin.host, &one, 1, sizeof one, nullptr, nullptr);
    };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    Scripts::of("c").start = []() -> flowd_result { return FLOWD_BUSY; };
    Scripts::of("c").on_events = [&](const flowd_event*, std::size_t) -> flowd_result {
        ++calls;
        return FLOWD_OK;
    };
    const auto outcome =
        supervisor().reload(list(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b"), config(FLOWD_BACKEND, "c")));
    EXPECT_FALSE(outcome.ok);
    supervisor().stop();
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(log().find("are lost"), std::string::npos) << "that is not what went wrong";
}

struct FailingStart : SupervisorTest, ::testing::WithParamInterface<std::pair<flowd_result, ExitCode>> {};

TEST_P(FailingStart, OfARequiredInstanceStopsTheOthersAndSetsTheExitCode) {
    Scripts::of("b").prepare = [] { return GetParam().first; };
    EXPECT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), GetParam().second);
    EXPECT_EQ(Scripts::of("p").started, 0);
    EXPECT_EQ(Scripts::of("p").destroyed, 1);
    EXPECT_EQ(Scripts::of("b").destroyed, 1);
}

INSTANTIATE_TEST_SUITE_P(Reasons, FailingStart,
                         ::testing::Values(std::pair{FLOWD_DENIED, ExitCode::denied}, std::pair{FLOWD_BUSY, ExitCode::busy},
                                           std::pair{FLOWD_NOT_FOUND, ExitCode::absent},
                                           std::pair{FLOWD_INVALID, ExitCode::configuration},
                                           std::pair{4711, ExitCode::failure}));

TEST_F(SupervisorTest, AFailedStartStopsInstancesThatRun) {
    Scripts::of("p").start = []() -> flowd_result { return FLOWD_BUSY; };
    EXPECT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::busy);
    EXPECT_EQ(Scripts::of("b").stopped, 1);
    EXPECT_EQ(Scripts::of("b").destroyed, 1);
}

TEST_F(SupervisorTest, AnInstanceThatIsNotRequiredMayFailAndIsShown) {
    Scripts::of("b").prepare = []() -> flowd_result { return FLOWD_DENIED; };
    InstanceConfig optional = config(FLOWD_BACKEND, "b");
    optional.required = false;
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "c"), std::move(optional)), ExitCode::ok);
    const Instance* failed = supervisor().find("b");
    ASSERT_NE(failed, nullptr);
    EXPECT_EQ(failed->state(), InstanceState::failed);
    EXPECT_THAT(failed->status().last_error, ::testing::HasSubstr("a privilege is missing"));
}

TEST_F(SupervisorTest, ADaemonThatMarksNothingLogsIt) {
    Scripts::of("b").prepare = []() -> flowd_result { return FLOWD_DENIED; };
    InstanceConfig optional = config(FLOWD_BACKEND, "b");
    optional.required = false;
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), std::move(optional)), ExitCode::ok);
    EXPECT_THAT(log(), ::testing::HasSubstr("no backend runs: nothing will be marked or sent"));
}

TEST_F(SupervisorTest, APluginThatRelaysByItselfNeedsNoBackend) {
    InstanceConfig relay = config(FLOWD_PLUGIN, "p");
    relay.relays = true;
    ASSERT_EQ(start(std::move(relay)), ExitCode::ok);
    EXPECT_THAT(log(), ::testing::Not(::testing::HasSubstr("no backend runs")));
}

TEST_F(SupervisorTest, AnInstanceThatHangsInPrepareIsAbandonedAndTheStartFails) {
    settings_.start_timeout = 100ms;
    settings_.stop_timeout = 100ms;
    Gate gate;
    Scripts::of("b").prepare = [&]() -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    };
    EXPECT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::abandoned);
    EXPECT_THAT(log(), ::testing::ContainsRegex("did not return from prepare after [0-9]+ ms within 0.1 s"));
    EXPECT_TRUE(supervisor().must_exit_hard());
    gate.open();
    EXPECT_TRUE(eventually([&] { return !supervisor().must_exit_hard(); }));
}

TEST_F(SupervisorTest, AnInstanceThatHangsInStopIsAbandonedAndTheOthersAreFlushed) {
    settings_.stop_timeout = 100ms;
    Gate gate;
    Scripts::of("p").stop = [&]() -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    supervisor().stop();
    EXPECT_TRUE(supervisor().must_exit_hard());
    EXPECT_EQ(supervisor().find("p")->state(), InstanceState::abandoned);
    EXPECT_EQ(supervisor().find("b")->state(), InstanceState::stopped);
    EXPECT_EQ(Scripts::of("b").destroyed, 1);
    gate.open();
    EXPECT_TRUE(eventually([&] { return !supervisor().must_exit_hard(); }));
}

TEST_F(SupervisorTest, AnInstanceThatFailsWhileRunningIsRemovedFromTheBusAndOthersContinue) {
    std::atomic<int> seen{0};
    Scripts::of("bad").on_events = [](const flowd_event*, std::size_t) -> flowd_result {
        throw std::runtime_error("broken");
    };
    Scripts::of("good").on_events = [&](const flowd_event*, std::size_t count) -> flowd_result {
        seen += static_cast<int>(count);
        return FLOWD_OK;
    };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "bad"), config(FLOWD_BACKEND, "good")), ExitCode::ok);
    const flowd_host* host = Scripts::of("p").host;
    const flowd_event first = event(FLOWD_EVENT_START, 1), second = event(FLOWD_EVENT_START, 2);
    ASSERT_EQ(host->emit(host, &first, 1, sizeof first, nullptr, nullptr), FLOWD_OK);
    ASSERT_TRUE(eventually([&] { return supervisor().find("bad")->finished(); }));
    supervisor().reap();
    EXPECT_EQ(bus_.counters().backends.size(), 1U);
    ASSERT_EQ(host->emit(host, &second, 1, sizeof second, nullptr, nullptr), FLOWD_OK);
    EXPECT_TRUE(eventually([&] { return seen == 2; }));
    supervisor().stop();
}

TEST_F(SupervisorTest, ABackendThatBlocksForeverDoesNotStopTheOthers) {
    settings_.queues.events = 64;
    settings_.queues.stall_after_ns = 20'000'000;
    settings_.stop_timeout = 100ms;
    Gate gate;
    std::atomic<int> seen{0};
    Scripts::of("bad").on_events = [&](const flowd_event*, std::size_t) -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    };
    Scripts::of("good").on_events = [&](const flowd_event*, std::size_t count) -> flowd_result {
        seen += static_cast<int>(count);
        return FLOWD_OK;
    };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "bad"), config(FLOWD_BACKEND, "good")), ExitCode::ok);
    const flowd_host* host = Scripts::of("p").host;
    for (std::uint32_t n = 0; n < 1000;) {
        const flowd_event one = event(FLOWD_EVENT_START, n);
        if (host->emit(host, &one, 1, sizeof one, nullptr, nullptr) == FLOWD_OK)
            ++n;
        else
            (void)bus_.tick();
    }
    EXPECT_TRUE(eventually([&] { return seen == 1000; }));
    supervisor().stop();
    EXPECT_EQ(supervisor().find("bad")->state(), InstanceState::abandoned);
    EXPECT_EQ(supervisor().find("good")->state(), InstanceState::stopped);
    gate.open();
    EXPECT_TRUE(eventually([&] { return !supervisor().must_exit_hard(); }));
}

TEST_F(SupervisorTest, InstancesAreFoundByKeyUnlessItIsAmbiguous) {
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "firefly"), config(FLOWD_BACKEND, "firefly"), config(FLOWD_BACKEND, "marker")),
              ExitCode::ok);
    EXPECT_NE(supervisor().find("marker"), nullptr);
    EXPECT_EQ(supervisor().find("firefly"), nullptr);
    ASSERT_NE(supervisor().find("backend firefly"), nullptr);
    EXPECT_EQ(supervisor().find("backend firefly")->kind(), static_cast<std::uint32_t>(FLOWD_BACKEND));
}

}  // namespace
}  // namespace flowd::core::test
