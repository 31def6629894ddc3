// SPDX-License-Identifier: Apache-2.0
// One instance, in every position in which a module can fail.
#include <poll.h>

#include <stdexcept>
#include <thread>

#include "scripted.hpp"

namespace flowd::core::test {
namespace {

struct InstanceTest : Rig {
    Script& script = Scripts::of("x");
};

TEST_F(InstanceTest, LivesFromConfiguredToStoppedAndEveryCallIsMadeOnce) {
    auto x = running(config(FLOWD_PLUGIN, "x", 7));
    EXPECT_EQ(script.value, 7);
    EXPECT_TRUE(stops(*x));
    EXPECT_EQ(x->state(), InstanceState::stopped);
    EXPECT_EQ(script.created, 1);
    EXPECT_EQ(script.prepared, 1);
    EXPECT_EQ(script.started, 1);
    EXPECT_EQ(script.stopped, 1);
    EXPECT_EQ(script.destroyed, 1);
    EXPECT_TRUE(x->problems().empty());
}

TEST_F(InstanceTest, AllCallsComeOnOneThreadThatIsNotTheCallersOwn) {
    std::vector<std::thread::id> threads;
    const auto note = [&]() -> flowd_result {
        threads.push_back(std::this_thread::get_id());
        return FLOWD_OK;
    };
    script.create = script.prepare = script.start = script.stop = note;
    script.destroy = [&] { (void)note(); };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(stops(*x));
    ASSERT_EQ(threads.size(), 5U);
    for (const auto& thread : threads) EXPECT_EQ(thread, threads.front());
    EXPECT_NE(threads.front(), std::this_thread::get_id());
}

TEST_F(InstanceTest, StoppedBeforeItWasStartedItIsStoppedAndDestroyed) {
    auto x = launched(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(x->state(), InstanceState::stopped);
    EXPECT_EQ(script.started, 0);
    EXPECT_EQ(script.stopped, 1);
    EXPECT_EQ(script.destroyed, 1);
}

/// Each way of failing, in each step.
struct Failure {
    const char* name;
    std::function<flowd_result()> happens;
    flowd_result result;
    const char* told;
};
std::ostream& operator<<(std::ostream& out, const Failure& failure) {
    return out << failure.name;
}

struct FailingStep : InstanceTest, ::testing::WithParamInterface<Failure> {
    void expect_failed(const Instance& x, const std::string& step) {
        ASSERT_TRUE(eventually([&] { return x.finished(); }));
        EXPECT_EQ(x.state(), InstanceState::failed);
        const auto problems = x.problems();
        ASSERT_EQ(problems.size(), 1U);
        EXPECT_EQ(problems[0].result, GetParam().result);
        EXPECT_THAT(x.status().last_error, ::testing::HasSubstr(step));
        EXPECT_THAT(log(), ::testing::HasSubstr(GetParam().told));
        EXPECT_EQ(problems[0].where.line, 3U);
    }
};

TEST_P(FailingStep, CreateLeavesNothingToStop) {
    script.create = GetParam().happens;
    auto x = launched(config(FLOWD_PLUGIN, "x"), InstanceState::failed);
    expect_failed(*x, "create");
    EXPECT_EQ(script.stopped, 0);
    EXPECT_EQ(script.destroyed, 0);
}

TEST_P(FailingStep, PrepareIsFollowedByStopAndDestroy) {
    script.prepare = GetParam().happens;
    auto x = launched(config(FLOWD_PLUGIN, "x"), InstanceState::failed);
    expect_failed(*x, "prepare");
    EXPECT_EQ(script.started, 0);
    EXPECT_EQ(script.stopped, 1);
    EXPECT_EQ(script.destroyed, 1);
}

TEST_P(FailingStep, StartIsFollowedByStopAndDestroy) {
    script.start = GetParam().happens;
    auto x = launched(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(x->attach({}));
    x->start();
    expect_failed(*x, "start");
    EXPECT_EQ(script.stopped, 1);
    EXPECT_EQ(script.destroyed, 1);
}

TEST_P(FailingStep, StopIsFollowedByDestroyAndTheFailureIsTold) {
    script.stop = GetParam().happens;
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(script.destroyed, 1);
    EXPECT_THAT(log(), ::testing::HasSubstr("stop"));
}

INSTANTIATE_TEST_SUITE_P(
    Ways, FailingStep,
    ::testing::Values(Failure{"Error", [] { return FLOWD_BUSY; }, FLOWD_BUSY, "in use by somebody else"},
                      Failure{"Garbage", [] { return 4711; }, FLOWD_ERROR, "4711, which means nothing"},
                      Failure{"NegativeGarbage", [] { return -4711; }, FLOWD_ERROR, "-4711, which means nothing"},
                      Failure{"Exception", []() -> flowd_result { throw std::runtime_error("thrown by a test"); },
                              FLOWD_EXCEPTION, "thrown by a test"},
                      Failure{"ForeignException", []() -> flowd_result { throw 42; }, FLOWD_EXCEPTION,
                              "of an unknown type"}),
    [](const auto& way) { return std::string(way.param.name); });

TEST_F(InstanceTest, AnExceptionOutOfDestroyIsNothingButAnError) {
    script.destroy = [] { throw std::runtime_error("thrown by destroy"); };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(x->state(), InstanceState::failed);
    EXPECT_THAT(log(), ::testing::HasSubstr("thrown by destroy"));
}

TEST_F(InstanceTest, WhatItReportsIsLocatedAndExplainsTheFailure) {
    script.prepare = [this]() -> flowd_result {
        flowd_problem problem{};
        problem.size = sizeof problem;
        problem.level = FLOWD_LEVEL_ERROR;
        problem.result = FLOWD_BUSY;
        problem.message = to_c("port 10514 is in use by xrootd");
        script.host.load()->report(script.host, &problem);
        return FLOWD_BUSY;
    };
    auto x = launched(config(FLOWD_PLUGIN, "x"), InstanceState::failed);
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    ASSERT_EQ(x->problems().size(), 1U) << "the failure of prepare adds nothing to what was reported";
    EXPECT_THAT(log(), ::testing::HasSubstr("port 10514 is in use by xrootd"));
    EXPECT_THAT(log(), ::testing::HasSubstr("conf.yaml:3:5"));
    EXPECT_EQ(x->status().last_error, "port 10514 is in use by xrootd");
}

TEST_F(InstanceTest, AnErrorReportedWhileItRunsIsItsLastErrorAndItRunsOn) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(x->run_job([this](flowd_instance*) {
        flowd_problem problem{};
        problem.size = sizeof problem;
        problem.level = FLOWD_LEVEL_ERROR;
        problem.message = to_c("the collector does not resolve");
        script.host.load()->report(script.host, &problem);
    }));
    EXPECT_TRUE(eventually([&] { return x->status().last_error == "the collector does not resolve"; }));
    EXPECT_EQ(x->state(), InstanceState::running);
}

TEST_F(InstanceTest, AnExceptionOutOfACallbackTakesItOutOfService) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_EQ(script.host.load()->post(
                  script.host, [](void*) { throw std::runtime_error("out of a post"); }, nullptr),
              FLOWD_OK);
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_EQ(x->state(), InstanceState::failed);
    EXPECT_EQ(script.stopped, 1);
    EXPECT_EQ(script.destroyed, 1);
    EXPECT_EQ(x->status().exceptions, 1U);
    EXPECT_THAT(x->status().last_error, ::testing::HasSubstr("out of a post"));
}

TEST_F(InstanceTest, ABackendThatFailsGetsTheNextEventsAllTheSame) {
    std::atomic<std::uint64_t> seen{0};
    script.on_events = [&](const flowd_event*, std::size_t count) -> flowd_result {
        seen += count;
        return FLOWD_ERROR;
    };
    auto plugin = running(config(FLOWD_PLUGIN, "p"));
    auto x = running(config(FLOWD_BACKEND, "x"));
    const flowd_host* host = Scripts::of("p").host;
    for (std::uint32_t n = 0; n < 500; ++n) {
        const flowd_event one = event(FLOWD_EVENT_START, n);
        std::size_t accepted = 0;
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, &accepted), FLOWD_OK);
    }
    EXPECT_TRUE(eventually([&] { return seen == 500; }));
    EXPECT_EQ(x->state(), InstanceState::running);
    EXPECT_GT(x->status().batches_failed, 0U);
    EXPECT_THAT(x->status().last_error, ::testing::HasSubstr("on_events"));
}

TEST_F(InstanceTest, ABackendTakesWhatWaitsBeforeItIsStopped) {
    std::atomic<std::uint64_t> seen{0}, seen_at_stop{0};
    Gate gate;
    script.on_events = [&](const flowd_event*, std::size_t count) -> flowd_result {
        if (seen == 0) gate.pass();
        seen += count;
        return FLOWD_OK;
    };
    script.stop = [&]() -> flowd_result {
        seen_at_stop = seen.load();
        return FLOWD_OK;
    };
    auto plugin = running(config(FLOWD_PLUGIN, "p"));
    auto x = running(config(FLOWD_BACKEND, "x"));
    const flowd_host* host = Scripts::of("p").host;
    for (std::uint32_t n = 0; n < 2000; ++n) {
        const flowd_event one = event(FLOWD_EVENT_START, n);
        std::size_t accepted = 0;
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, &accepted), FLOWD_OK);
    }
    ASSERT_TRUE(gate.reached());
    x->request_stop(SteadyClock::now() + patience);
    gate.open();
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_EQ(seen_at_stop, 2000U);
}

TEST_F(InstanceTest, ABackendOutOfTimeSaysHowMuchIsLost) {
    Gate gate;
    script.on_events = [&](const flowd_event*, std::size_t) -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    };
    auto plugin = running(config(FLOWD_PLUGIN, "p"));
    auto x = running(config(FLOWD_BACKEND, "x"));
    const flowd_host* host = Scripts::of("p").host;
    for (std::uint32_t n = 0; n < 1000; ++n) {
        const flowd_event one = event(FLOWD_EVENT_START, n);
        std::size_t accepted = 0;
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, &accepted), FLOWD_OK);
    }
    ASSERT_TRUE(gate.reached());
    x->request_stop(SteadyClock::now());
    gate.open();
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_THAT(log(), ::testing::ContainsRegex("[0-9]+ events were not taken before the deadline and are lost"));
}

TEST_F(InstanceTest, OneThatHangsInStopIsNamedAndCanBeAbandoned) {
    Gate gate;
    script.stop = [&]() -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    x->request_stop(SteadyClock::now());
    ASSERT_TRUE(gate.reached());
    EXPECT_FALSE(x->finished());
    x->abandon();
    EXPECT_EQ(x->state(), InstanceState::abandoned);
    EXPECT_THAT(log(), ::testing::ContainsRegex("\\[x\\] does not come back from stop after [0-9]+ ms: abandoned"));
    EXPECT_EQ(script.host.load()->emit(script.host, nullptr, 0, 0, nullptr), FLOWD_STOPPED);
    gate.open();
    EXPECT_TRUE(eventually([&] { return x->finished(); })) << "what comes back late is still destroyed";
    EXPECT_EQ(script.destroyed, 1);
}

TEST_F(InstanceTest, EmitAndPostAnswerStoppedOnceItHasStopped) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = script.host;
    ASSERT_TRUE(stops(*x));
    const flowd_event one = event(FLOWD_EVENT_START, 1);
    std::size_t accepted = 9;
    EXPECT_EQ(host->emit(host, &one, 1, sizeof one, &accepted), FLOWD_STOPPED);
    EXPECT_EQ(accepted, 0U);
    EXPECT_EQ(host->post(
                  host, [](void*) {}, nullptr),
              FLOWD_STOPPED);
}

TEST_F(InstanceTest, InvalidEventsAreRefusedAndHarmNobody) {
    std::atomic<std::uint64_t> seen{0};
    Scripts::of("b").on_events = [&](const flowd_event*, std::size_t count) -> flowd_result {
        seen += count;
        return FLOWD_OK;
    };
    auto backend = running(config(FLOWD_BACKEND, "b"));
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = script.host;
    flowd_event bad[4] = {event(99, 1), event(FLOWD_EVENT_START, 2), event(FLOWD_EVENT_START, 3), {}};
    bad[1].key.reserved[0] = 1;
    bad[2].attachment_count = 5;
    for (const flowd_event& one : bad) {
        std::size_t accepted = 9;
        EXPECT_EQ(host->emit(host, &one, 1, sizeof one, &accepted), FLOWD_INVALID);
        EXPECT_EQ(accepted, 0U);
    }
    EXPECT_EQ(host->emit(host, nullptr, 3, sizeof(flowd_event), nullptr), FLOWD_INVALID);
    const flowd_event good = event(FLOWD_EVENT_START, 4);
    EXPECT_EQ(host->emit(host, &good, 1, sizeof good, nullptr), FLOWD_OK);
    EXPECT_TRUE(eventually([&] { return seen == 1; }));
    EXPECT_EQ(x->state(), InstanceState::running);
}

TEST_F(InstanceTest, OnlyPluginsEmit) {
    auto x = running(config(FLOWD_BACKEND, "x"));
    const flowd_event one = event(FLOWD_EVENT_START, 1);
    EXPECT_EQ(script.host.load()->emit(script.host, &one, 1, sizeof one, nullptr), FLOWD_UNSUPPORTED);
}

/// A module's own loop: it polls the core's descriptor and dispatches.
flowd_result own_loop(const flowd_host* host) {
    for (;;) {
        pollfd poll{host->loop_fd(host), POLLIN, 0};
        (void)::poll(&poll, 1, -1);
        const flowd_result result = host->dispatch(host);
        if (result != FLOWD_OK) return result == FLOWD_STOPPED ? FLOWD_OK : result;
    }
}

TEST_F(InstanceTest, AnOwnLoopGetsEventsPostsAndTheStopThroughDispatch) {
    std::atomic<std::uint64_t> seen{0};
    std::atomic<bool> posted{false};
    script.run = own_loop;
    script.on_events = [&](const flowd_event*, std::size_t count) -> flowd_result {
        seen += count;
        return FLOWD_OK;
    };
    auto plugin = running(config(FLOWD_PLUGIN, "p"));
    auto x = running(config(FLOWD_BACKEND, "x", 0, FLOWD_LOOP_OWN));
    const flowd_host* host = Scripts::of("p").host;
    const flowd_event one = event(FLOWD_EVENT_START, 1);
    ASSERT_EQ(host->emit(host, &one, 1, sizeof one, nullptr), FLOWD_OK);
    ASSERT_EQ(script.host.load()->post(
                  script.host, [](void* flag) { *static_cast<std::atomic<bool>*>(flag) = true; }, &posted),
              FLOWD_OK);
    EXPECT_TRUE(eventually([&] { return seen == 1 && posted; }));
    EXPECT_TRUE(x->status().in_call.empty()) << "being in run() is no news";
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(x->state(), InstanceState::stopped);
    EXPECT_EQ(script.stopped, 1);
    EXPECT_EQ(script.destroyed, 1);
}

TEST_F(InstanceTest, ARunThatComesBackByItselfIsAFailure) {
    script.run = [](const flowd_host*) -> flowd_result { return FLOWD_OK; };
    auto x = launched(config(FLOWD_PLUGIN, "x", 0, FLOWD_LOOP_OWN));
    ASSERT_TRUE(x->attach({}));
    x->start();
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_EQ(x->state(), InstanceState::failed);
    EXPECT_EQ(script.destroyed, 1);
    EXPECT_THAT(log(), ::testing::HasSubstr("run came back although nobody had asked to stop"));
}

TEST_F(InstanceTest, AnExceptionInACallbackOfAnOwnLoopEndsItThroughDispatch) {
    script.run = own_loop;
    auto x = running(config(FLOWD_PLUGIN, "x", 0, FLOWD_LOOP_OWN));
    ASSERT_EQ(script.host.load()->post(
                  script.host, [](void*) { throw 1; }, nullptr),
              FLOWD_OK);
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_EQ(x->state(), InstanceState::failed);
    EXPECT_EQ(script.stopped, 1);
}

TEST_F(InstanceTest, DispatchIsForOwnLoopsOnly) {
    std::atomic<flowd_result> answer{0};
    script.start = [&]() -> flowd_result {
        answer = script.host.load()->dispatch(script.host);
        return FLOWD_OK;
    };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    EXPECT_EQ(answer, FLOWD_UNSUPPORTED);
}

TEST_F(InstanceTest, ItRespondsUnlessItHangs) {
    Gate gate;
    auto x = running(config(FLOWD_PLUGIN, "x"));
    EXPECT_TRUE(x->responds());
    EXPECT_TRUE(eventually([&] { return x->responds(); }));
    ASSERT_TRUE(x->run_job([&](flowd_instance*) {
        (void)x->guarded("command", [&]() -> flowd_result {
            gate.pass();
            return FLOWD_OK;
        });
    }));
    ASSERT_TRUE(gate.reached());
    (void)x->responds();  // sends the ping that stays unanswered
    EXPECT_FALSE(x->responds());
    EXPECT_THAT(x->whereabouts(), ::testing::HasSubstr("command after"));
    gate.open();
    EXPECT_TRUE(eventually([&] { return x->responds(); }));
}

TEST_F(InstanceTest, ReconfigureIsTriedOnTheRunningInstance) {
    auto x = running(config(FLOWD_PLUGIN, "x", 1, FLOWD_LOOP_HOSTED, true));
    std::atomic<flowd_result> result{99};
    x->reconfigure(std::make_shared<const InstanceConfig>(config(FLOWD_PLUGIN, "x", 2, FLOWD_LOOP_HOSTED, true)),
                   [&](flowd_result answered, const std::string&) { result = answered; });
    EXPECT_TRUE(eventually([&] { return result == FLOWD_OK; }));
    EXPECT_EQ(script.value, 2);
    EXPECT_EQ(x->config()->value().items[0].integer, 2);
    EXPECT_EQ(script.created, 1);
}

}  // namespace
}  // namespace flowd::core::test
