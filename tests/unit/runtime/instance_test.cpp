// SPDX-License-Identifier: Apache-2.0
// One instance, in every position in which a module can fail.
#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "flowd/abi/ext/acknowledge.h"
#include "flowd/abi/ext/delivery.h"
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

struct InstanceTest : Rig {
    Script& script = Scripts::of("x");
};

TEST_F(InstanceTest, PassesThroughItsLifecycleWithEachCallMadeOnce) {
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

TEST_F(InstanceTest, AllCallsAreMadeOnOneThreadOtherThanTheCallers) {
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

TEST_F(InstanceTest, AStopBeforeTheStartIsFollowedByDestroy) {
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

TEST_P(FailingStep, StopIsFollowedByDestroyAndTheFailureIsReported) {
    script.stop = GetParam().happens;
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(script.destroyed, 1);
    EXPECT_THAT(log(), ::testing::HasSubstr("stop"));
}

INSTANTIATE_TEST_SUITE_P(
    Ways, FailingStep,
    ::testing::Values(Failure{"Error", [] { return FLOWD_BUSY; }, FLOWD_BUSY, "in use by another process or instance"},
                      Failure{"Garbage", [] { return 4711; }, FLOWD_ERROR, "4711, which is not a defined result"},
                      Failure{"NegativeGarbage", [] { return -4711; }, FLOWD_ERROR, "-4711, which is not a defined result"},
                      Failure{"Exception", []() -> flowd_result { throw std::runtime_error("thrown by a test"); },
                              FLOWD_EXCEPTION, "thrown by a test"},
                      Failure{"ForeignException", []() -> flowd_result { throw 42; }, FLOWD_EXCEPTION,
                              "of an unknown type"}),
    [](const auto& way) { return std::string(way.param.name); });

TEST_F(InstanceTest, AnExceptionInDestroyIsReportedAsAnError) {
    script.destroy = [] { throw std::runtime_error("thrown by destroy"); };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(x->state(), InstanceState::failed);
    EXPECT_THAT(log(), ::testing::HasSubstr("thrown by destroy"));
}

TEST_F(InstanceTest, AReportedProblemHasItsPlaceAndExplainsTheFailure) {
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

TEST_F(InstanceTest, AnErrorReportedWhileRunningBecomesTheLastError) {
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

TEST_F(InstanceTest, AnExceptionInACallbackStopsTheInstance) {
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

TEST_F(InstanceTest, ABackendThatFailedReceivesTheNextEvents) {
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
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, &accepted, nullptr), FLOWD_OK);
    }
    EXPECT_TRUE(eventually([&] { return seen == 500; }));
    EXPECT_EQ(x->state(), InstanceState::running);
    EXPECT_GT(x->status().batches_failed, 0U);
    EXPECT_THAT(x->status().last_error, ::testing::HasSubstr("on_events"));
}

TEST_F(InstanceTest, ABackendTakesQueuedEventsBeforeItIsStopped) {
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
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, &accepted, nullptr), FLOWD_OK);
    }
    ASSERT_TRUE(gate.reached());
    x->request_stop(SteadyClock::now() + patience, FLOWD_STOP_REMOVED);
    gate.open();
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_EQ(seen_at_stop, 2000U);
}

TEST_F(InstanceTest, ABackendThatMissesTheDeadlineReportsLostEvents) {
    Gate gate;
    std::atomic<std::size_t> first{0};
    script.on_events = [&](const flowd_event*, std::size_t count) -> flowd_result {
        first += count;
        gate.pass();
        return FLOWD_OK;
    };
    auto plugin = running(config(FLOWD_PLUGIN, "p"));
    auto x = running(config(FLOWD_BACKEND, "x"));
    const flowd_host* host = Scripts::of("p").host;
    for (std::uint32_t n = 0; n < 1000; ++n) {
        const flowd_event one = event(FLOWD_EVENT_START, n);
        std::size_t accepted = 0;
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, &accepted, nullptr), FLOWD_OK);
    }
    ASSERT_TRUE(gate.reached());
    x->request_stop(SteadyClock::now(), FLOWD_STOP_REMOVED);
    gate.open();
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    // The first batch was under way, and taken.
    EXPECT_EQ(x->status().events_lost, 1000U - first);
    EXPECT_THAT(log(), ::testing::HasSubstr("backend x did not take " + std::to_string(1000 - first) +
                                            " events: " + std::to_string(1000 - first) + " starts, 0 ends, 0 others"));
}

TEST_F(InstanceTest, LostEventsAreLoggedAndCounted) {
    script.stop = [&]() -> flowd_result {
        const flowd_host* host = script.host;
        host->lost(host, 3, to_c("datagrams were not read before the stop"));
        host->lost(host, 0, to_c("of these nothing is said"));
        host->lost(host, 4, to_c("requests were cut at the stop"));
        return FLOWD_OK;
    };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    EXPECT_EQ(x->status().events_lost, 0U);
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(x->status().events_lost, 7U);
    EXPECT_THAT(log(), ::testing::HasSubstr("3 datagrams were not read before the stop"));
    EXPECT_THAT(log(), ::testing::Not(::testing::HasSubstr("of these")));
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

struct PartialBatch : InstanceTest {
    void emit(std::uint32_t first, std::uint32_t count, std::uint32_t kind = FLOWD_EVENT_START) const {
        const flowd_host* host = Scripts::of("p").host;
        for (std::uint32_t n = first; n < first + count; ++n) {
            const flowd_event one = event(kind, n);
            ASSERT_EQ(host->emit(host, &one, 1, sizeof one, nullptr, nullptr), FLOWD_OK);
        }
    }
    [[nodiscard]] BackendCounters counters() const {
        for (auto& own : bus_.counters().backends)
            if (own.name == "x") return own;
        return {};
    }
    [[nodiscard]] static std::uint64_t delivered(const BackendCounters& own) { return own.delivered[FLOWD_EVENT_START]; }

    std::unique_ptr<Instance> plugin = running(config(FLOWD_PLUGIN, "p"));
    std::mutex mutex;
    std::vector<std::uint32_t> taken;  // numbers of flows, as the script took them
    [[nodiscard]] std::vector<std::uint32_t> all_taken() {
        const std::lock_guard lock(mutex);
        return taken;
    }
    [[nodiscard]] static std::vector<std::uint32_t> numbers(std::uint32_t count) {
        std::vector<std::uint32_t> all;
        for (std::uint32_t n = 0; n < count; ++n) all.push_back(n);
        return all;
    }
};

TEST_F(PartialBatch, AFullBackendIsOfferedTheRestOnlyAfterReady) {
    std::atomic<bool> full{true};
    std::atomic<int> calls{0};
    script.on_part = [&](const flowd_event* events, std::size_t count, std::size_t* done) -> flowd_result {
        ++calls;
        const std::lock_guard lock(mutex);
        for (; *done < count && (!full || *done < 3); ++*done) taken.push_back(number_of(events[*done]));
        return full ? FLOWD_FULL : FLOWD_OK;
    };
    emit(0, 300);
    auto x = running(config(FLOWD_BACKEND, "x"));
    ASSERT_TRUE(eventually([&] { return counters().held == 1; }));
    emit(300, 10);
    EXPECT_EQ(calls, 1);
    full = false;
    script.host.load()->ready(script.host);
    ASSERT_TRUE(eventually([&] { return delivered(counters()) == 310; }));
    EXPECT_EQ(all_taken().size(), 310U);
    std::vector<std::uint32_t> sorted = all_taken();
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(sorted, numbers(310)) << "each of them once";
    EXPECT_EQ(x->status().errors, 0U) << "being full is no error";
    EXPECT_EQ(x->status().batches_failed, 0U);
}

TEST_F(PartialBatch, ReadyCalledBeforeOnEventsReturnsIsNotLost) {
    script.on_part = [&](const flowd_event* events, std::size_t count, std::size_t* done) -> flowd_result {
        const std::lock_guard lock(mutex);
        taken.push_back(number_of(events[(*done)++]));
        if (*done == count) return FLOWD_OK;
        std::thread([&] { script.host.load()->ready(script.host); }).join();
        return FLOWD_FULL;
    };
    auto x = running(config(FLOWD_BACKEND, "x"));
    emit(0, 50);
    ASSERT_TRUE(eventually([&] { return delivered(counters()) == 50; }));
    EXPECT_EQ(all_taken(), numbers(50));
}

TEST_F(PartialBatch, ReadyWithoutAFullDoesNothing) {
    auto x = running(config(FLOWD_BACKEND, "x"));
    script.host.load()->ready(script.host);
    Scripts::of("p").host.load()->ready(Scripts::of("p").host);
    emit(0, 5);
    EXPECT_TRUE(eventually([&] { return delivered(counters()) == 5; }));
}

TEST_F(PartialBatch, AnInvalidEventIsCountedAndThoseAfterItAreOfferedAtOnce) {
    script.on_part = [&](const flowd_event* events, std::size_t count, std::size_t* done) -> flowd_result {
        const std::lock_guard lock(mutex);
        for (; *done < count; ++*done) {
            if (number_of(events[*done]) % 10 == 7) return FLOWD_INVALID;
            taken.push_back(number_of(events[*done]));
        }
        return FLOWD_OK;
    };
    auto x = running(config(FLOWD_BACKEND, "x"));
    emit(0, 100);
    ASSERT_TRUE(eventually([&] { return counters().refused == 10 && delivered(counters()) == 90; }));
    EXPECT_EQ(all_taken().size(), 90U);
    EXPECT_EQ(counters().failed, 0U);
    EXPECT_THAT(x->status().last_error, ::testing::HasSubstr("on_events failed: an invalid value"));
}

TEST_F(PartialBatch, AfterAnErrorTheRestOfTheBatchIsCountedAsFailed) {
    Gate gate;
    script.on_part = [&](const flowd_event*, std::size_t count, std::size_t* done) -> flowd_result {
        gate.pass();
        if (count < 20) return FLOWD_OK;
        *done = 4;
        return FLOWD_ERROR;
    };
    auto x = running(config(FLOWD_BACKEND, "x"));
    emit(0, 1);
    ASSERT_TRUE(gate.reached());
    emit(1, 20);
    gate.open();
    ASSERT_TRUE(eventually([&] { return counters().failed == 16; }));
    EXPECT_EQ(delivered(counters()), 5U);
    EXPECT_EQ(counters().refused, 0U);
}

TEST_F(PartialBatch, AnUndefinedResultIsReportedAsAnErrorOfTheModule) {
    std::atomic<int> call{0};
    script.on_part = [&](const flowd_event*, std::size_t count, std::size_t* done) -> flowd_result {
        switch (call++) {
            case 0:
                *done = count + 1;
                return FLOWD_FULL;
            case 1:
                *done = count;
                return FLOWD_INVALID;  // there is no event at *done
            case 2:
                return 17;
            default:
                *done = 4711;
                return FLOWD_OK;  // not read
        }
    };
    auto x = running(config(FLOWD_BACKEND, "x"));
    for (std::uint32_t n = 0; n < 4; ++n) {
        emit(n, 1);
        ASSERT_TRUE(eventually([&] { return delivered(counters()) + counters().failed == n + 1; })) << n;
    }
    EXPECT_EQ(x->status().bad_results, 3U);
    EXPECT_EQ(counters().failed, 2U) << "the first and the third";
    EXPECT_EQ(counters().held, 0U);
    EXPECT_EQ(x->state(), InstanceState::running);
}

TEST_F(PartialBatch, DuringAStopAFullBackendIsOfferedTheRestAfterReady) {
    for (const std::uint32_t loop : {FLOWD_LOOP_HOSTED, FLOWD_LOOP_OWN}) {
        taken.clear();
        std::atomic<bool> full{true};
        std::atomic<std::size_t> taken_at_stop{0};
        Script& own = Scripts::of("x");
        own.run = own_loop;
        own.on_part = [&](const flowd_event* events, std::size_t count, std::size_t* done) -> flowd_result {
            if (full) return FLOWD_FULL;
            const std::lock_guard lock(mutex);
            for (; *done < count; ++*done) taken.push_back(number_of(events[*done]));
            return FLOWD_OK;
        };
        own.stop = [&]() -> flowd_result {
            taken_at_stop = all_taken().size();
            return FLOWD_OK;
        };
        auto x = running(config(FLOWD_BACKEND, "x", 0, loop));
        emit(0, 300);
        ASSERT_TRUE(eventually([&] { return counters().held == 1; }));
        x->request_stop(SteadyClock::now() + patience, FLOWD_STOP_REMOVED);
        ASSERT_TRUE(reaches(*x, InstanceState::stopping));
        // A callback of the instance itself makes the room: its loop has to run meanwhile.
        full = false;
        ASSERT_EQ(own.host.load()->post(
                      own.host,
                      [](void* host) { static_cast<const flowd_host*>(host)->ready(static_cast<const flowd_host*>(host)); },
                      const_cast<flowd_host*>(own.host.load())),
                  FLOWD_OK);
        ASSERT_TRUE(eventually([&] { return x->finished(); }));
        EXPECT_EQ(taken_at_stop, 300U) << "loop model " << loop;
        EXPECT_EQ(x->status().events_lost, 0U);
    }
}

TEST_F(PartialBatch, EventsNotTakenAtTheDeadlineAreCountedAndLogged) {
    script.on_part = [](const flowd_event*, std::size_t, std::size_t* done) -> flowd_result {
        *done = 1;
        return FLOWD_FULL;
    };
    auto x = running(config(FLOWD_BACKEND, "x"));
    emit(0, 300);
    emit(0, 100, FLOWD_EVENT_END);
    ASSERT_TRUE(eventually([&] { return counters().held == 1; }));
    ASSERT_TRUE(stops(*x, 200ms));
    EXPECT_EQ(x->status().events_lost, 399U);
    EXPECT_THAT(log(), ::testing::HasSubstr("backend x did not take 399 events: 299 starts, 100 ends, 0 others"));
}

TEST_F(PartialBatch, ABackendThatStaysFullDoesNotAffectOthers) {
    settings_.queues.events = 1000;
    std::atomic<std::uint64_t> heard{0};
    Scripts::of("y").on_events = [&](const flowd_event*, std::size_t count) -> flowd_result {
        heard += count;
        return FLOWD_OK;
    };
    script.on_part = [](const flowd_event*, std::size_t, std::size_t*) -> flowd_result { return FLOWD_FULL; };
    auto x = running(config(FLOWD_BACKEND, "x"));
    settings_.queues.events = 65'536;
    auto y = running(config(FLOWD_BACKEND, "y"));
    emit(0, 1);
    ASSERT_TRUE(eventually([&] { return counters().held == 1; }));
    // FLOWD_LONG=1: for a minute.
    const std::uint32_t seconds = std::getenv("FLOWD_LONG") != nullptr ? 60 : 2;
    constexpr std::uint32_t flows_a_second = 25'000;
    for (std::uint32_t second = 0; second < seconds; ++second) {
        const auto begin = SteadyClock::now();
        emit(1 + second * flows_a_second, flows_a_second);  // no emit answers FULL
        emit(1 + second * flows_a_second, flows_a_second, FLOWD_EVENT_END);
        std::this_thread::sleep_until(begin + 1s);  // the rate: 50,000 events a second
    }
    EXPECT_TRUE(eventually([&] { return heard == 1 + 2 * seconds * flows_a_second; })) << heard;
    EXPECT_LE(counters().high_water, 1000U);
    EXPECT_EQ(counters().refused_full, 0U);
    // Memory is bounded. What makes room looks at few records under one lock, so there may be some more.
    EXPECT_LE(bus_.counters().ended_kept, FlowLimits{}.max_live / 100 * 101);
    // A flow that is given up costs it an end, and a start unless that was queued; what is still owed can still come.
    EXPECT_GE(counters().given_up + bus_.counters().owed, seconds * flows_a_second - 1000);
}

TEST_F(InstanceTest, AStopHasAReason) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    x->request_stop(SteadyClock::now() + patience, FLOWD_STOP_REPLACED);
    x->request_stop(SteadyClock::now() + patience, FLOWD_STOP_DAEMON_ENDS);
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_EQ(script.stop_reason, static_cast<std::uint32_t>(FLOWD_STOP_REPLACED)) << "the first holds";
}

TEST_F(InstanceTest, AFailedInstanceIsStoppedWithTheReasonFailed) {
    script.prepare = []() -> flowd_result { return FLOWD_BUSY; };
    auto x = launched(config(FLOWD_PLUGIN, "x"), InstanceState::failed);
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_EQ(script.stop_reason, static_cast<std::uint32_t>(FLOWD_STOP_FAILED));
}

TEST_F(InstanceTest, ExtensionsAreRequestedOnceAfterStart) {
    std::vector<std::string> asked;
    std::atomic<int> events{0};
    script.extension = [&](std::string_view id) -> const void* {
        EXPECT_EQ(script.started, 1);
        EXPECT_EQ(events, 0);
        asked.emplace_back(id);
        return nullptr;
    };
    script.on_events = [&](const flowd_event*, std::size_t) -> flowd_result {
        ++events;
        return FLOWD_OK;
    };
    auto x = running(config(FLOWD_BACKEND, "x"));
    ASSERT_TRUE(stops(*x));
    EXPECT_THAT(
        asked, ::testing::UnorderedElementsAre("flowd.status/1", "flowd.command/1", "flowd.findings/1", "flowd.explain/1"));
}

TEST_F(InstanceTest, ACommandWithUnknownFlagsIsNotOffered) {
    static const flowd_command commands[] = {
        {sizeof(flowd_command), FLOWD_COMMAND_CHANGES, "mode", nullptr, "Sets the mode."},
        {sizeof(flowd_command), 1u << 7, "later", nullptr, "Of a later minor."}};
    static const flowd_ext_command table{
        sizeof(flowd_ext_command),
        0,
        commands,
        2,
        sizeof commands[0],
        [](flowd_instance*, const flowd_string*, std::size_t, const flowd_writer*) -> flowd_result { return FLOWD_OK; }};
    script.extension = [](std::string_view id) -> const void* { return id == FLOWD_EXT_COMMAND ? &table : nullptr; };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_TRUE(eventually([&] { return x->offered() != nullptr && x->offered()->commands.size() == 1; }));
    EXPECT_EQ(x->offered()->commands[0].name, "mode");
    EXPECT_TRUE(x->offered()->commands[0].changes);
    EXPECT_THAT(x->status().last_error, ::testing::HasSubstr("the command 'later' is not offered"));
    ASSERT_TRUE(stops(*x));
}

/// A source that acknowledges what it read once it has been taken: as a Kafka source commits its offsets.
struct DeliveryTest : InstanceTest {
    struct Record {
        DeliveryTest* test;
        std::uint32_t number;
    };
    flowd_result mark(std::uint32_t number) {
        const flowd_host* host = Scripts::of("kafka").host;
        const auto* delivery = static_cast<const flowd_ext_delivery*>(host->extension(host, FLOWD_EXT_DELIVERY));
        records_[number] = {this, number};
        return delivery->mark(
            host,
            [](void* user) {
                const Record& record = *static_cast<Record*>(user);
                const std::lock_guard lock(record.test->mutex_);
                record.test->committed_.push_back(record.number);
                record.test->thread_ = std::this_thread::get_id();
            },
            &records_[number]);
    }
    /// Reads one record, announces its flow, and marks.
    void read(std::uint32_t number) {
        const flowd_host* host = Scripts::of("kafka").host;
        const flowd_event one = event(FLOWD_EVENT_START, number);
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, nullptr, nullptr), FLOWD_OK);
        ASSERT_EQ(mark(number), FLOWD_OK);
    }
    [[nodiscard]] std::vector<std::uint32_t> committed() {
        const std::lock_guard lock(mutex_);
        return committed_;
    }

    std::mutex mutex_;
    std::vector<std::uint32_t> committed_;
    std::thread::id thread_;
    std::map<std::uint32_t, Record> records_;
    std::unique_ptr<Instance> kafka = running(config(FLOWD_PLUGIN, "kafka"));
};

TEST_F(DeliveryTest, ASourceCommitsWhatEveryBackendHasTakenInOrderAndOnItsOwnThread) {
    Gate gate;
    script.on_events = [&](const flowd_event*, std::size_t) -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    };
    auto slow = running(config(FLOWD_BACKEND, "x"));
    auto quick = running(config(FLOWD_BACKEND, "y"));
    std::vector<std::uint32_t> all;
    for (std::uint32_t n = 0; n < 500; ++n) {
        read(n);
        all.push_back(n);
    }
    ASSERT_TRUE(gate.reached());
    EXPECT_TRUE(committed().empty());
    gate.open();
    EXPECT_TRUE(eventually([&] { return committed().size() == 500; }));
    EXPECT_EQ(committed(), all);
    EXPECT_NE(thread_, std::this_thread::get_id());
}

TEST_F(DeliveryTest, OutstandingMarksAreLimitedAndDroppedAtTheStop) {
    Gate gate;
    script.on_events = [&](const flowd_event*, std::size_t) -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    };
    auto slow = running(config(FLOWD_BACKEND, "x"));
    read(0);
    for (std::uint32_t n = 1; n < 65'536; ++n) ASSERT_EQ(mark(n), FLOWD_OK);
    EXPECT_EQ(mark(65'536), FLOWD_LIMIT);
    ASSERT_TRUE(stops(*kafka));
    EXPECT_EQ(mark(65'536), FLOWD_STOPPED);
    gate.open();
    ASSERT_TRUE(stops(*slow));
    EXPECT_TRUE(committed().empty());
}

TEST_F(DeliveryTest, ABackendThatAcknowledgesDelaysTheCommitUntilThen) {
    auto x = running(config(FLOWD_BACKEND, "x"));
    const flowd_host* host = Scripts::of("x").host;
    const auto* own = static_cast<const flowd_ext_acknowledge*>(host->extension(host, FLOWD_EXT_ACKNOWLEDGE));
    ASSERT_NE(own, nullptr);
    ASSERT_EQ(own->acknowledge(host, 0), FLOWD_OK);
    read(0);
    read(1);
    ASSERT_TRUE(eventually([&] { return x->status().batches > 0; }));
    EXPECT_TRUE(committed().empty());
    ASSERT_EQ(own->acknowledge(host, 1), FLOWD_OK);
    EXPECT_TRUE(eventually([&] { return committed().size() == 1; }));
    ASSERT_EQ(own->acknowledge(host, 2), FLOWD_OK);
    EXPECT_TRUE(eventually([&] { return committed().size() == 2; }));
    const flowd_host* plugin = Scripts::of("kafka").host;
    EXPECT_EQ(own->acknowledge(plugin, 1), FLOWD_UNSUPPORTED);
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(own->acknowledge(host, 3), FLOWD_STOPPED);
}

TEST_F(DeliveryTest, OnlyPluginsMark) {
    auto x = running(config(FLOWD_BACKEND, "x"));
    const flowd_host* host = script.host;
    const auto* delivery = static_cast<const flowd_ext_delivery*>(host->extension(host, FLOWD_EXT_DELIVERY));
    EXPECT_EQ(delivery->mark(
                  host, [](void*) {}, nullptr),
              FLOWD_UNSUPPORTED);
    EXPECT_EQ(delivery->mark(Scripts::of("kafka").host, nullptr, nullptr), FLOWD_INVALID);
}

TEST_F(InstanceTest, AnInstanceThatHangsInStopCanBeAbandoned) {
    Gate gate;
    script.stop = [&]() -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    x->request_stop(SteadyClock::now(), FLOWD_STOP_REMOVED);
    ASSERT_TRUE(gate.reached());
    EXPECT_FALSE(x->finished());
    x->abandon();
    EXPECT_EQ(x->state(), InstanceState::abandoned);
    EXPECT_THAT(log(), ::testing::ContainsRegex("\\[x\\] does not return from stop after [0-9]+ ms: abandoned"));
    EXPECT_EQ(script.host.load()->emit(script.host, nullptr, 0, 0, nullptr, nullptr), FLOWD_STOPPED);
    gate.open();
    EXPECT_TRUE(eventually([&] { return x->finished(); })) << "what comes back late is still destroyed";
    EXPECT_EQ(script.destroyed, 1);
}

TEST_F(InstanceTest, EmitAndPostReturnStoppedAfterTheStop) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = script.host;
    ASSERT_TRUE(stops(*x));
    const flowd_event one = event(FLOWD_EVENT_START, 1);
    std::size_t accepted = 9;
    EXPECT_EQ(host->emit(host, &one, 1, sizeof one, &accepted, nullptr), FLOWD_STOPPED);
    EXPECT_EQ(accepted, 0U);
    EXPECT_EQ(host->post(
                  host, [](void*) {}, nullptr),
              FLOWD_STOPPED);
}

TEST_F(InstanceTest, InvalidEventsAreRefused) {
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
        EXPECT_EQ(host->emit(host, &one, 1, sizeof one, &accepted, nullptr), FLOWD_INVALID);
        EXPECT_EQ(accepted, 0U);
    }
    EXPECT_EQ(host->emit(host, nullptr, 3, sizeof(flowd_event), nullptr, nullptr), FLOWD_INVALID);
    const flowd_event good = event(FLOWD_EVENT_START, 4);
    EXPECT_EQ(host->emit(host, &good, 1, sizeof good, nullptr, nullptr), FLOWD_OK);
    EXPECT_TRUE(eventually([&] { return seen == 1; }));
    EXPECT_EQ(x->state(), InstanceState::running);
}

TEST_F(InstanceTest, OnlyPluginsEmit) {
    auto x = running(config(FLOWD_BACKEND, "x"));
    const flowd_event one = event(FLOWD_EVENT_START, 1);
    EXPECT_EQ(script.host.load()->emit(script.host, &one, 1, sizeof one, nullptr, nullptr), FLOWD_UNSUPPORTED);
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
    ASSERT_EQ(host->emit(host, &one, 1, sizeof one, nullptr, nullptr), FLOWD_OK);
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

TEST_F(InstanceTest, ARunThatReturnsByItselfIsAFailure) {
    script.run = [](const flowd_host*) -> flowd_result { return FLOWD_OK; };
    auto x = launched(config(FLOWD_PLUGIN, "x", 0, FLOWD_LOOP_OWN));
    ASSERT_TRUE(x->attach({}));
    x->start();
    ASSERT_TRUE(eventually([&] { return x->finished(); }));
    EXPECT_EQ(x->state(), InstanceState::failed);
    EXPECT_EQ(script.destroyed, 1);
    EXPECT_THAT(log(), ::testing::HasSubstr("run returned although no stop was requested"));
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
