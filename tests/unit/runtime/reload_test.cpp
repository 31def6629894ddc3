// SPDX-License-Identifier: Apache-2.0
// Replacing a configuration while it runs: what stays, what goes, and what a failure leaves behind.
#include <sys/eventfd.h>

#include "flowd/extensions.hpp"
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

struct ReloadTest : Rig {
    ReloadTest() {
        for (const char* key : {"b", "c"})
            Scripts::of(key).on_events = [this, key](const flowd_event* events, std::size_t count) -> flowd_result {
                const std::lock_guard lock(mutex_);
                for (std::size_t i = 0; i < count; ++i)
                    seen_[key].emplace_back(events[i].kind, number_of(events[i]), events[i].flags, events[i].end_reason);
                return FLOWD_OK;
            };
    }
    struct Seen {
        std::uint32_t kind, number, flags, end_reason;
        Seen(std::uint32_t k, std::uint32_t n, std::uint32_t f, std::uint32_t r)
            : kind(k), number(n), flags(f), end_reason(r) {}
    };
    [[nodiscard]] std::vector<Seen> seen(const std::string& key) {
        const std::lock_guard lock(mutex_);
        return seen_[key];
    }
    void emit(const char* plugin, std::uint32_t kind, std::uint32_t n) {
        const flowd_host* host = Scripts::of(plugin).host;
        const flowd_event one = event(kind, n);
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, nullptr, nullptr), FLOWD_OK);
    }
    void start_pair(std::int64_t plugin_value = 1, std::int64_t backend_value = 1) {
        ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", plugin_value), config(FLOWD_BACKEND, "b", backend_value)), ExitCode::ok);
    }

    std::mutex mutex_;
    std::map<std::string, std::vector<Seen>> seen_;
};

TEST_F(ReloadTest, UnchangedInstancesKeepRunning) {
    start_pair();
    const Instance* before = supervisor().find("p");
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p", 1), config(FLOWD_BACKEND, "b", 1)));
    EXPECT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.kept, 2U);
    EXPECT_EQ(supervisor().find("p"), before);
    EXPECT_EQ(Scripts::of("p").created, 1);
    EXPECT_EQ(Scripts::of("p").stopped, 0);
}

TEST_F(ReloadTest, ReconfigureAlwaysIsCalledAlsoWithTheSameValues) {
    const auto configs = [] {
        return list(config(FLOWD_PLUGIN, "p"),
                    config(FLOWD_BACKEND, "b", 1, FLOWD_LOOP_HOSTED, true, FLOWD_COMPONENT_RECONFIGURE_ALWAYS),
                    config(FLOWD_BACKEND, "c", 1, FLOWD_LOOP_HOSTED, true));
    };
    ASSERT_EQ(supervisor().start(configs()), ExitCode::ok);
    for (int i = 1; i <= 2; ++i) {
        const auto outcome = supervisor().reload(configs());
        EXPECT_TRUE(outcome.ok) << outcome.error;
        EXPECT_EQ(outcome.reconfigured, 1U);
        EXPECT_EQ(Scripts::of("b").reconfigured, i);
    }
    EXPECT_EQ(Scripts::of("b").created, 1);
    EXPECT_EQ(Scripts::of("c").reconfigured, 0);
}

TEST_F(ReloadTest, EachStopHasAReason) {
    const auto reason = [](const char* key) { return Scripts::of(key).stop_reason.load(); };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_PLUGIN, "q", 1), config(FLOWD_BACKEND, "b", 1),
                    config(FLOWD_BACKEND, "c")),
              ExitCode::ok);
    ASSERT_TRUE(supervisor().reload(list(config(FLOWD_PLUGIN, "q", 2), config(FLOWD_BACKEND, "b", 2))).ok);
    EXPECT_EQ(reason("p"), static_cast<std::uint32_t>(FLOWD_STOP_REMOVED));
    EXPECT_EQ(reason("c"), static_cast<std::uint32_t>(FLOWD_STOP_REMOVED));
    EXPECT_EQ(reason("q"), static_cast<std::uint32_t>(FLOWD_STOP_REPLACED));
    EXPECT_EQ(reason("b"), static_cast<std::uint32_t>(FLOWD_STOP_REPLACED));
    Scripts::of("new").prepare = []() -> flowd_result { return FLOWD_BUSY; };
    ASSERT_FALSE(supervisor()
                     .reload(list(config(FLOWD_PLUGIN, "q", 3), config(FLOWD_BACKEND, "b", 2), config(FLOWD_PLUGIN, "new")))
                     .ok);
    EXPECT_EQ(reason("new"), static_cast<std::uint32_t>(FLOWD_STOP_FAILED));
    EXPECT_EQ(reason("q"), static_cast<std::uint32_t>(FLOWD_STOP_FAILED)) << "the successor that was not needed";
    supervisor().stop();
    EXPECT_EQ(reason("q"), static_cast<std::uint32_t>(FLOWD_STOP_DAEMON_ENDS));
    EXPECT_EQ(reason("b"), static_cast<std::uint32_t>(FLOWD_STOP_DAEMON_ENDS));
}

TEST_F(ReloadTest, AChangedPluginIsReplacedAndItsFlowsRemain) {
    start_pair();
    emit("p", FLOWD_EVENT_START, 1);
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2), config(FLOWD_BACKEND, "b", 1)));
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.replaced, 1U);
    EXPECT_EQ(Scripts::of("p").value, 2);
    EXPECT_EQ(Scripts::of("p").destroyed, 1);
    EXPECT_EQ(bus_.count(), 1U);
    emit("p", FLOWD_EVENT_END, 1);
    EXPECT_TRUE(eventually([&] { return seen("b").size() == 2; }));
    EXPECT_EQ(seen("b")[1].kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
}

TEST_F(ReloadTest, EventsLostByReplacedOrRemovedInstancesAffectTheExitCode) {
    std::atomic<const flowd_host*> runs{nullptr};
    Scripts::of("p").start = [&runs]() -> flowd_result {
        runs = Scripts::of("p").host.load();
        return FLOWD_OK;
    };
    Scripts::of("p").stop = [&runs]() -> flowd_result {
        const flowd_host* host = runs;
        host->lost(host, 3, to_c("datagrams were not read before the stop"));
        return FLOWD_OK;
    };
    Scripts::of("b").on_part = [](const flowd_event*, std::size_t, std::size_t*) -> flowd_result { return FLOWD_FULL; };
    settings_.stop_timeout = 300ms;
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", 1), config(FLOWD_BACKEND, "b"), config(FLOWD_BACKEND, "c")), ExitCode::ok);
    for (std::uint32_t n = 0; n < 5; ++n) emit("p", FLOWD_EVENT_START, n);
    ASSERT_TRUE(supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2), config(FLOWD_BACKEND, "c"))).ok);
    EXPECT_EQ(supervisor().events_lost(), 3U + 5U) << "3 of the replaced plugin, 5 of the removed backend";
    supervisor().stop();
    EXPECT_EQ(supervisor().events_lost(), 3U + 5U + 3U);
}

TEST_F(ReloadTest, ADescriptorIsHandedOnlyToASuccessor) {
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    std::vector<std::string> had;
    const auto prepare = [&](const char* key) {
        return [&, key]() -> flowd_result {
            const flowd_host* host = Scripts::of(key).host;
            const Descriptors kept(host, host->extension(host, FLOWD_EXT_DESCRIPTORS));
            if (kept.take("x/event")) had.emplace_back(key);
            return kept.keep("x/event", event.get()) ? FLOWD_OK : FLOWD_ERROR;
        };
    };
    Scripts::of("p").prepare = prepare("p");
    Scripts::of("q").prepare = prepare("q");
    start_pair();
    EXPECT_THAT(had, ::testing::IsEmpty());
    ASSERT_TRUE(supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2), config(FLOWD_BACKEND, "b", 1))).ok);
    EXPECT_THAT(had, ::testing::ElementsAre("p")) << "it replaces itself";
    ASSERT_TRUE(supervisor()
                    .reload(list(config(FLOWD_PLUGIN, "p", 2), config(FLOWD_PLUGIN, "q"), config(FLOWD_BACKEND, "b", 1)))
                    .ok);
    EXPECT_THAT(had, ::testing::ElementsAre("p")) << "the first one stays";

    Scripts::of("b").prepare = []() -> flowd_result { return FLOWD_DENIED; };
    ASSERT_FALSE(supervisor().reload(list(config(FLOWD_PLUGIN, "q"), config(FLOWD_BACKEND, "b", 2))).ok);
    Scripts::of("b").prepare = nullptr;
    Scripts::of("r").prepare = prepare("r");
    ASSERT_TRUE(supervisor()
                    .reload(list(config(FLOWD_PLUGIN, "p", 2), config(FLOWD_PLUGIN, "q"), config(FLOWD_PLUGIN, "r"),
                                 config(FLOWD_BACKEND, "b", 1)))
                    .ok);
    EXPECT_THAT(had, ::testing::ElementsAre("p")) << "the one that should have gone stays after the roll-back";
}

TEST_F(ReloadTest, TwoReplacedInstancesMaySwapDescriptors) {
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    int handed = 0;
    const auto prepare = [&](const char* key, const char* wanted) {
        return [&, key, wanted]() -> flowd_result {
            const flowd_host* host = Scripts::of(key).host;
            const Descriptors kept(host, host->extension(host, FLOWD_EXT_DESCRIPTORS));
            if (kept.take(wanted)) ++handed;
            return kept.keep(wanted, event.get()) ? FLOWD_OK : FLOWD_ERROR;
        };
    };
    Scripts::of("p").prepare = prepare("p", "x/1");
    Scripts::of("q").prepare = prepare("q", "x/2");
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", 1), config(FLOWD_PLUGIN, "q", 1), config(FLOWD_BACKEND, "b", 1)),
              ExitCode::ok);
    Scripts::of("p").prepare = prepare("p", "x/2");
    Scripts::of("q").prepare = prepare("q", "x/1");
    ASSERT_TRUE(supervisor()
                    .reload(list(config(FLOWD_PLUGIN, "p", 2), config(FLOWD_PLUGIN, "q", 2), config(FLOWD_BACKEND, "b", 1)))
                    .ok);
    EXPECT_EQ(handed, 2);
}

TEST_F(ReloadTest, AChangedBackendIsReplacedAndReceivesTheLiveFlows) {
    start_pair();
    emit("p", FLOWD_EVENT_START, 1);
    ASSERT_TRUE(eventually([&] { return seen("b").size() == 1; }));
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p", 1), config(FLOWD_BACKEND, "b", 2)));
    ASSERT_TRUE(outcome.ok) << outcome.error;
    ASSERT_TRUE(eventually([&] { return seen("b").size() == 2; }));
    EXPECT_EQ(seen("b")[1].number, 1U);
    EXPECT_NE(seen("b")[1].flags & FLOWD_RESYNC, 0U);
    EXPECT_EQ(bus_.counters().backends.size(), 1U);
}

TEST_F(ReloadTest, EventsDuringAReplacementReachOneOfTheTwoBackends) {
    start_pair();
    emit("p", FLOWD_EVENT_START, 1);
    ASSERT_TRUE(eventually([&] { return seen("b").size() == 1; }));
    // The old one is already stopping, the new one not yet started, when the flow ends.
    Scripts::of("b").stop = [this]() -> flowd_result {
        emit("p", FLOWD_EVENT_END, 1);
        emit("p", FLOWD_EVENT_START, 2);
        Scripts::of("b").stop = nullptr;
        return FLOWD_OK;
    };
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p", 1), config(FLOWD_BACKEND, "b", 2)));
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_TRUE(eventually([&] {
        bool ended = false, started = false;
        for (const Seen& one : seen("b")) {
            ended = ended || (one.kind == FLOWD_EVENT_END && one.number == 1);
            started = started || (one.kind == FLOWD_EVENT_START && one.number == 2);
        }
        return ended && started;
    }));
}

TEST_F(ReloadTest, ALateReconfigureIsUndone) {
    settings_.start_timeout = 100ms;
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", 1), config(FLOWD_BACKEND, "b", 1, FLOWD_LOOP_HOSTED, true)), ExitCode::ok);
    Gate gate;
    Scripts::of("b").reconfigure = [&]() -> flowd_result {
        if (Scripts::of("b").reconfigured == 1) gate.pass();
        return FLOWD_OK;
    };
    const auto outcome =
        supervisor().reload(list(config(FLOWD_PLUGIN, "p", 1), config(FLOWD_BACKEND, "b", 2, FLOWD_LOOP_HOSTED, true)));
    EXPECT_FALSE(outcome.ok);
    EXPECT_THAT(outcome.error, ::testing::HasSubstr("did not return from reconfigure"));
    gate.open();
    EXPECT_TRUE(eventually([&] { return Scripts::of("b").reconfigured == 2 && Scripts::of("b").value == 1; }))
        << "what the daemon says is in force is in force";
}

TEST_F(ReloadTest, ANewBackendReceivesTheLiveFlowsAndARemovedOneStops) {
    start_pair();
    emit("p", FLOWD_EVENT_START, 1);
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p", 1), config(FLOWD_BACKEND, "c", 1)));
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.added, 1U);
    EXPECT_EQ(outcome.removed, 1U);
    EXPECT_TRUE(eventually([&] { return seen("c").size() == 1; }));
    EXPECT_EQ(Scripts::of("b").destroyed, 1);
    EXPECT_EQ(supervisor().find("b"), nullptr);
}

TEST_F(ReloadTest, ARemovedPluginsFlowsEnd) {
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), config(FLOWD_PLUGIN, "q"), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    emit("q", FLOWD_EVENT_START, 1);
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p"), config(FLOWD_BACKEND, "b")));
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_TRUE(eventually([&] { return seen("b").size() == 2; }));
    EXPECT_EQ(seen("b")[1].kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
    EXPECT_GT(seen("b")[1].end_reason, static_cast<std::uint32_t>(FLOWD_END_ANNOUNCED));
}

TEST_F(ReloadTest, AReconfiguredInstanceIsNotRestarted) {
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", 1, FLOWD_LOOP_HOSTED, true), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    const auto outcome =
        supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2, FLOWD_LOOP_HOSTED, true), config(FLOWD_BACKEND, "b")));
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.reconfigured, 1U);
    EXPECT_EQ(Scripts::of("p").value, 2);
    EXPECT_EQ(Scripts::of("p").created, 1);
}

TEST_F(ReloadTest, AnInstanceThatCannotReconfigureIsReplaced) {
    Scripts::of("p").reconfigure = []() -> flowd_result { return FLOWD_UNSUPPORTED; };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", 1, FLOWD_LOOP_HOSTED, true), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    const auto outcome =
        supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2, FLOWD_LOOP_HOSTED, true), config(FLOWD_BACKEND, "b")));
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.replaced, 1U);
    EXPECT_EQ(Scripts::of("p").created, 2);
    EXPECT_EQ(Scripts::of("p").value, 2);
}

TEST_F(ReloadTest, AFailedReconfigureChangesNothing) {
    Scripts::of("p").reconfigure = []() -> flowd_result { return FLOWD_BUSY; };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", 1, FLOWD_LOOP_HOSTED, true), config(FLOWD_BACKEND, "b", 1)), ExitCode::ok);
    const auto outcome =
        supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2, FLOWD_LOOP_HOSTED, true), config(FLOWD_BACKEND, "b", 2)));
    EXPECT_FALSE(outcome.ok);
    EXPECT_THAT(outcome.error, ::testing::HasSubstr("in use by another process or instance"));
    EXPECT_EQ(Scripts::of("b").stopped - Scripts::of("b").created + 1, 0)
        << "the one made for the reload is gone, the old one runs";
    EXPECT_EQ(supervisor().find("b")->state(), InstanceState::running);
    EXPECT_EQ(supervisor().find("p")->state(), InstanceState::running);
    emit("p", FLOWD_EVENT_START, 1);
    EXPECT_TRUE(eventually([&] { return seen("b").size() == 1; }));
}

TEST_F(ReloadTest, AFailedReconfigureIsReportedWithPlaceReasonAndHint) {
    Scripts::of("p").reconfigure = []() -> flowd_result {
        const flowd_host* host = Scripts::of("p").host;
        flowd_problem problem{};
        problem.size = sizeof problem;
        problem.level = FLOWD_LEVEL_ERROR;
        problem.result = FLOWD_NOT_FOUND;
        problem.option = to_c("value");
        problem.message = to_c("there is no interface 'eth7'");
        problem.hint = to_c("see: ip link");
        host->report(host, &problem);
        return FLOWD_NOT_FOUND;
    };
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", 1, FLOWD_LOOP_HOSTED, true)), ExitCode::ok);
    InstanceConfig changed = config(FLOWD_PLUGIN, "p", 2, FLOWD_LOOP_HOSTED, true);
    changed.values.remember("value", {"conf.yaml", 9, 7});
    const auto outcome = supervisor().reload(list(std::move(changed)));
    EXPECT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.error,
              "conf.yaml:9:7: error: plugins.p.value: there is no interface 'eth7'\n    hint:    see: ip link");
    EXPECT_THAT(log(), ::testing::HasSubstr(outcome.error.substr(0, outcome.error.find('\n'))));
    EXPECT_EQ(supervisor().find("p")->status().last_error, "there is no interface 'eth7'");
}

TEST_F(ReloadTest, AFailedPrepareKeepsTheOldInstanceAndUndoesReconfigures) {
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p", 1, FLOWD_LOOP_HOSTED, true), config(FLOWD_BACKEND, "b", 1)), ExitCode::ok);
    Scripts::of("c").prepare = []() -> flowd_result { return FLOWD_DENIED; };
    Scripts::of("p").reconfigure = []() -> flowd_result { return FLOWD_OK; };
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2, FLOWD_LOOP_HOSTED, true),
                                                  config(FLOWD_BACKEND, "b", 1), config(FLOWD_BACKEND, "c", 1)));
    EXPECT_FALSE(outcome.ok);
    EXPECT_THAT(outcome.error, ::testing::HasSubstr("a privilege is missing"));
    EXPECT_EQ(supervisor().find("c"), nullptr);
    EXPECT_TRUE(eventually([&] { return Scripts::of("p").value == 1; }));
    EXPECT_EQ(Scripts::of("b").created, 1);
    emit("p", FLOWD_EVENT_START, 1);
    EXPECT_TRUE(eventually([&] { return seen("b").size() == 1; }));
}

TEST_F(ReloadTest, AFailedStartRestoresTheOldConfiguration) {
    start_pair();
    emit("p", FLOWD_EVENT_START, 1);
    Scripts::of("p").start = []() -> flowd_result { return Scripts::of("p").value == 2 ? FLOWD_BUSY : FLOWD_OK; };
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2), config(FLOWD_BACKEND, "b", 1)));
    EXPECT_FALSE(outcome.ok);
    EXPECT_THAT(outcome.error, ::testing::HasSubstr("start failed"));
    ASSERT_NE(supervisor().find("p"), nullptr);
    EXPECT_EQ(supervisor().find("p")->state(), InstanceState::running);
    EXPECT_EQ(Scripts::of("p").value, 1);
    EXPECT_EQ(bus_.count(), 1U) << "the flows stayed";
    emit("p", FLOWD_EVENT_END, 1);
    EXPECT_TRUE(eventually([&] { return seen("b").size() == 2; }));
}

TEST_F(ReloadTest, AFailedInstanceIsRetriedEvenIfNothingChanged) {
    Scripts::of("b").prepare = []() -> flowd_result { return FLOWD_DENIED; };
    InstanceConfig optional = config(FLOWD_BACKEND, "b");
    optional.required = false;
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "p"), std::move(optional)), ExitCode::ok);
    Scripts::of("b").prepare = nullptr;
    InstanceConfig again = config(FLOWD_BACKEND, "b");
    again.required = false;
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p"), std::move(again)));
    EXPECT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(supervisor().find("b")->state(), InstanceState::running);
}

TEST_F(ReloadTest, TheHostsOfReplacedInstancesAreBounded) {
    start_pair();
    for (std::int64_t value = 2; value < 100; ++value)
        ASSERT_TRUE(supervisor().reload(list(config(FLOWD_PLUGIN, "p", value), config(FLOWD_BACKEND, "b", 1))).ok);
    EXPECT_EQ(supervisor().hosts_of_removed(), 64U);
}

TEST_F(ReloadTest, APredecessorThatHangsInStopIsAbandonedAndItsSuccessorRuns) {
    settings_.stop_timeout = 100ms;
    start_pair();
    Gate gate;
    Scripts::of("p").stop = [&]() -> flowd_result {
        if (Scripts::of("p").stopped == 1) gate.pass();
        return FLOWD_OK;
    };
    const auto outcome = supervisor().reload(list(config(FLOWD_PLUGIN, "p", 2), config(FLOWD_BACKEND, "b", 1)));
    EXPECT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(supervisor().find("p")->state(), InstanceState::running);
    ASSERT_EQ(supervisor().abandoned().size(), 1U);
    EXPECT_FALSE(supervisor().abandoned()[0]->finished());
    emit("p", FLOWD_EVENT_START, 1);
    EXPECT_TRUE(eventually([&] { return seen("b").size() == 1; }));
    gate.open();
    EXPECT_TRUE(eventually([&] { return supervisor().abandoned()[0]->finished(); }));
}

}  // namespace
}  // namespace flowd::core::test
