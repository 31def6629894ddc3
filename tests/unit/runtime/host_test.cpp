// SPDX-License-Identifier: Apache-2.0
// What an instance may ask of the core, and what the core makes of nonsense.
#include <sys/eventfd.h>

#include <thread>

#include "flowd/abi/ext/daemon.h"
#include "flowd/abi/ext/descriptors.h"
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/ext/metrics.h"
#include "flowd/abi/ext/registry.h"
#include "flowd/extensions.hpp"
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

struct HostTest : Rig {
    HostTest() {
        registries_.use(*Registry::parse(
            R"({"experiments":[{"expName":"atlas","expId":2,"activities":[{"activityName":"perfsonar","activityId":2}]}]})"));
    }
    /// Runs on the instance's thread and waits.
    void on_instance(Instance& x, const std::function<void()>& job) {
        std::atomic<bool> done{false};
        ASSERT_TRUE(x.run_job([&](flowd_instance*) {
            job();
            done = true;
        }));
        ASSERT_TRUE(eventually([&] { return done.load(); }));
    }
    const flowd_host* host_of(const char* key) { return Scripts::of(key).host; }
};

TEST_F(HostTest, LogLinesCarryTheInstanceAndRepeatsAreLimited) {
    auto x = running(config(FLOWD_PLUGIN, "x/one"));
    const flowd_host* host = host_of("x/one");
    for (int i = 0; i < 100; ++i) host->log(host, FLOWD_LEVEL_WARNING, to_c("refused " + std::to_string(i)));
    const std::string text = log();
    EXPECT_THAT(text, ::testing::HasSubstr("[warning] [x/one] refused 0"));
    std::size_t lines = 0;
    for (std::size_t at = 0; (at = text.find("refused", at)) != std::string::npos; ++at) ++lines;
    EXPECT_EQ(lines, LogLimiter::burst);
}

TEST_F(HostTest, CallsTaggedInstanceAreRefusedFromOtherThreads) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    flowd_watch watch = 0;
    flowd_timer timer = 0;
    EXPECT_EQ(host->watch(
                  host, 0, FLOWD_IO_READ, [](void*, int, std::uint32_t) {}, nullptr, &watch),
              FLOWD_INVALID);
    EXPECT_EQ(host->timer(
                  host, 0, 0, [](void*) {}, nullptr, &timer),
              FLOWD_INVALID);
    EXPECT_EQ(host->loop_fd(host), -1);
    EXPECT_EQ(host->dispatch(host), FLOWD_INVALID);
    EXPECT_THAT(log(), ::testing::HasSubstr("watch was called from another thread"));
}

TEST_F(HostTest, WatchesAndTimersWorkAndStaleHandlesHaveNoEffect) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    std::atomic<int> ready{0}, fired{0};
    flowd_watch watch = 0;
    flowd_timer timer = 0;
    on_instance(*x, [&] {
        EXPECT_EQ(host->watch(
                      host, event.get(), FLOWD_IO_READ,
                      [](void* user, int fd, std::uint32_t) {
                          eventfd_t value = 0;
                          EXPECT_EQ(::eventfd_read(fd, &value), 0);
                          ++*static_cast<std::atomic<int>*>(user);
                      },
                      &ready, &watch),
                  FLOWD_OK);
        EXPECT_EQ(host->timer(
                      host, 0, 0, [](void* user) { ++*static_cast<std::atomic<int>*>(user); }, &fired, &timer),
                  FLOWD_OK);
    });
    ASSERT_EQ(::eventfd_write(event.get(), 1), 0);
    EXPECT_TRUE(eventually([&] { return ready == 1 && fired == 1; }));
    on_instance(*x, [&] {
        host->unwatch(host, watch);
        host->unwatch(host, watch);
        host->unwatch(host, 0);
        host->cancel(host, timer);
        host->cancel(host, timer);
        host->cancel(host, flowd_timer{0x1234});
        EXPECT_EQ(host->rewatch(host, watch, FLOWD_IO_READ), FLOWD_NOT_FOUND);
        EXPECT_EQ(host->rewatch(host, watch, 1u << 3), FLOWD_INVALID) << "a condition that the core does not know";
        EXPECT_EQ(host->watch(
                      host, event.get(), FLOWD_IO_READ | 1u << 3, [](void*, int, std::uint32_t) {}, nullptr, &watch),
                  FLOWD_INVALID);
    });
    EXPECT_EQ(x->state(), InstanceState::running);
}

TEST_F(HostTest, AWatchMadeInPrepareCallsBackAfterStart) {
    const UniqueFd event(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    Script& script = Scripts::of("x");
    std::atomic<bool> started{false}, early{false}, called{false};
    struct Flags {
        std::atomic<bool>&started, &early, &called;
    } flags{started, early, called};
    script.prepare = [&]() -> flowd_result {
        flowd_watch watch = 0;
        return script.host.load()->watch(
            script.host, event.get(), FLOWD_IO_READ,
            [](void* user, int fd, std::uint32_t) {
                eventfd_t value = 0;
                EXPECT_EQ(::eventfd_read(fd, &value), 0);
                auto& seen = *static_cast<Flags*>(user);
                if (!seen.started) seen.early = true;
                seen.called = true;
            },
            &flags, &watch);
    };
    script.start = [&]() -> flowd_result {
        started = true;
        return FLOWD_OK;
    };
    auto x = running(config(FLOWD_PLUGIN, "x"));
    EXPECT_TRUE(eventually([&] { return called.load(); })) << "what came in between is not lost";
    EXPECT_FALSE(early);
}

TEST_F(HostTest, MetricsHaveTheInstanceLabelAndAreRemovedWithIt) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    flowd_metric_info info{};
    info.size = sizeof info;
    info.type = FLOWD_METRIC_COUNTER;
    info.name = to_c("events_total");
    flowd_metric metric = 0;
    ASSERT_EQ(host->metric_open(host, &info, &metric), FLOWD_OK);
    host->metric_add(host, metric, 2);
    const auto samples = metrics_.snapshot("flowd_instance", "plugin x");
    ASSERT_EQ(samples.size(), 2U) << "and its state";
    EXPECT_EQ(samples[0].value, 2);

    host->metric_add(host, 0, 1);
    ASSERT_TRUE(stops(*x));
    EXPECT_EQ(metrics_.size(), 1U) << "its state";
    host->metric_add(host, metric, 1);  // a stray thread of the module: no harm
    host->metric_remove(host, metric);
    EXPECT_EQ(host->metric_open(host, &info, &metric), FLOWD_STOPPED);
}

TEST_F(HostTest, AnInstanceHasABoundedNumberOfSeries) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    auto y = running(config(FLOWD_PLUGIN, "y"));
    const auto open = [](const flowd_host* host, const std::string& value, flowd_metric& metric) {
        const flowd_label label{sizeof(flowd_label), 0, to_c("n"), to_c(value)};
        flowd_metric_info info{};
        info.size = sizeof info;
        info.type = FLOWD_METRIC_GAUGE;
        info.name = to_c("depth");
        info.labels = &label;
        info.label_count = 1;
        info.label_stride = sizeof label;
        return host->metric_open(host, &info, &metric);
    };
    const flowd_host* host = host_of("x");
    flowd_metric metric = 0;
    for (std::size_t i = 0; i < Host::max_series; ++i) ASSERT_EQ(open(host, std::to_string(i), metric), FLOWD_OK);
    flowd_metric surplus = 0;
    EXPECT_EQ(open(host, "surplus", surplus), FLOWD_LIMIT);
    EXPECT_THAT(log(), ::testing::HasSubstr("the instance has 20000 series already"));
    EXPECT_EQ(open(host_of("y"), "0", surplus), FLOWD_OK) << "it harms no other";
    host->metric_remove(host, metric);
    EXPECT_EQ(open(host, "surplus", surplus), FLOWD_OK) << "what is removed makes room";
}

TEST_F(HostTest, TheStateOfAnInstanceIsASeriesOfItsOwn) {
    const auto states = [&] {
        std::vector<std::string> all;
        for (const MetricSample& sample : metrics_.snapshot("flowd_instance", "plugin x"))
            for (const auto& [name, value] : sample.labels)
                if (sample.name == "instance_state" && sample.value == 1 && name == "state") all.push_back(value);
        return all;
    };
    {
        auto x = running(config(FLOWD_PLUGIN, "x"));
        EXPECT_EQ(states(), std::vector<std::string>{"running"});
        ASSERT_TRUE(stops(*x));
        EXPECT_EQ(states(), std::vector<std::string>{"stopped"});
    }
    EXPECT_EQ(metrics_.size(), 0U);
}

TEST_F(HostTest, SettingACounterAddsTheIncreaseOfEachHoldersTotal) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    flowd_metric_info info{};
    info.size = sizeof info;
    info.type = FLOWD_METRIC_COUNTER;
    info.name = to_c("bytes_total");
    flowd_metric before = 0, after = 0;
    ASSERT_EQ(host->metric_open(host, &info, &before), FLOWD_OK);
    const auto value = [&] { return metrics_.snapshot("flowd_instance", "plugin x").at(0).value; };
    host->metric_set(host, before, 10);
    host->metric_set(host, before, 7);
    EXPECT_EQ(value(), 10) << "it never falls";

    ASSERT_EQ(host->metric_open(host, &info, &after), FLOWD_OK);
    host->metric_set(host, after, 4);
    EXPECT_EQ(value(), 14) << "a successor's total begins anew, the series goes on";
    host->metric_remove(host, before);
    host->metric_set(host, after, 5);
    EXPECT_EQ(value(), 15);
}

TEST_F(HostTest, AllSeriesCanBeVisited) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    auto y = running(config(FLOWD_PLUGIN, "y"));
    const double bounds[] = {1, 2};
    flowd_metric_info info{};
    info.size = sizeof info;
    info.type = FLOWD_METRIC_HISTOGRAM;
    info.name = to_c("wait_seconds");
    info.bounds = bounds;
    info.bound_count = 2;
    for (const char* key : {"x", "y"}) {
        flowd_metric metric = 0;
        ASSERT_EQ(host_of(key)->metric_open(host_of(key), &info, &metric), FLOWD_OK);
        host_of(key)->metric_observe(host_of(key), metric, 1.5);
    }
    const flowd_host* host = host_of("x");
    const auto* all = static_cast<const flowd_ext_metrics*>(host->extension(host, FLOWD_EXT_METRICS));
    ASSERT_NE(all, nullptr);
    std::vector<std::string> seen;
    const auto note = [](void* user, const flowd_series* series) -> std::int32_t {
        if (to_view(series->name) == "instance_state") return 0;
        EXPECT_EQ(series->type, static_cast<std::uint32_t>(FLOWD_METRIC_HISTOGRAM));
        EXPECT_EQ(series->value, 1.5);
        EXPECT_EQ(series->bound_count, 2U);
        EXPECT_EQ(series->buckets[1], 1U);
        EXPECT_EQ(series->buckets[2], 0U);
        static_cast<std::vector<std::string>*>(user)->push_back(std::string(to_view(series->name)) + " " +
                                                                std::string(to_view(series->labels[0].value)));
        return 0;
    };
    EXPECT_EQ(all->visit(host, note, &seen), FLOWD_OK);
    EXPECT_EQ(seen, (std::vector<std::string>{"wait_seconds plugin x", "wait_seconds plugin y"}));
    EXPECT_EQ(all->visit(host, nullptr, &seen), FLOWD_INVALID);
}

TEST_F(HostTest, MalformedMetricsAreRefused) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    flowd_metric_info info{};
    info.size = sizeof info;
    info.type = FLOWD_METRIC_COUNTER;
    flowd_metric metric = 0;
    EXPECT_EQ(host->metric_open(host, nullptr, &metric), FLOWD_INVALID);
    EXPECT_EQ(host->metric_open(host, &info, nullptr), FLOWD_INVALID);
    EXPECT_EQ(host->metric_open(host, &info, &metric), FLOWD_INVALID) << "no name";
    info.name = to_c("x_total");
    info.label_count = 3;
    EXPECT_EQ(host->metric_open(host, &info, &metric), FLOWD_INVALID) << "labels that are not there";
}

TEST_F(HostTest, TheRegistryIsSearchedByNameAndById) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    const auto* registry = static_cast<const flowd_ext_registry*>(host->extension(host, FLOWD_EXT_REGISTRY));
    ASSERT_NE(registry, nullptr);
    std::uint32_t id = 99;
    EXPECT_EQ(registry->experiment_id(host, to_c("ATLAS"), &id), FLOWD_OK);
    EXPECT_EQ(id, 2U);
    EXPECT_EQ(registry->activity_id(host, 2, to_c("nothing"), &id), FLOWD_NOT_FOUND);
    EXPECT_EQ(id, 2U) << "left alone";
    flowd_string name{};
    EXPECT_EQ(registry->activity_name(host, 2, 2, &name), FLOWD_OK);
    EXPECT_EQ(std::string(to_view(name)), "perfsonar");
    EXPECT_EQ(registry->experiment_name(host, 77, &name), FLOWD_NOT_FOUND);
    EXPECT_EQ(name.length, 0U);
}

TEST_F(HostTest, LiveFlowsCanBeVisited) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    const auto* flows = static_cast<const flowd_ext_flows*>(host->extension(host, FLOWD_EXT_FLOWS));
    ASSERT_NE(flows, nullptr);
    for (std::uint32_t n = 0; n < 3; ++n) {
        const flowd_event one = event(FLOWD_EVENT_START, n);
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, nullptr, nullptr), FLOWD_OK);
    }
    EXPECT_EQ(flows->count(host), 3U);
    int seen = 0;
    const auto count = [](void* user, const flowd_flow*) -> std::int32_t {
        return ++*static_cast<int*>(user) == 2 ? 1 : 0;
    };
    std::uint64_t cursor = 0;
    EXPECT_EQ(flows->page(host, nullptr, &cursor, 10, count, &seen), FLOWD_OK);
    EXPECT_EQ(seen, 2) << "the visitor ended it";
    EXPECT_NE(cursor, 0u) << "there is one more";
    seen = 0;
    const flowd_key key = event(FLOWD_EVENT_START, 1).key;
    EXPECT_EQ(flows->find(host, &key, count, &seen), FLOWD_OK);
    EXPECT_EQ(seen, 1);
    const flowd_key other = event(FLOWD_EVENT_START, 9).key;
    EXPECT_EQ(flows->find(host, &other, count, &seen), FLOWD_NOT_FOUND);
}

TEST_F(HostTest, ARequestToTheDaemonIsAnsweredOnTheThreadOfTheInstance) {
    Requests::Words asked;
    std::vector<Requests::Answered> outstanding;
    requests_.serve([&](Requests::Words words, Requests::Answered answered) {
        asked = std::move(words);
        outstanding.push_back(std::move(answered));
        return true;
    });
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    const auto* ext = static_cast<const flowd_ext_daemon*>(host->extension(host, FLOWD_EXT_DAEMON));
    ASSERT_NE(ext, nullptr);
    EXPECT_EQ(ext->ask, nullptr) << "it would block";
    struct Answer {
        std::atomic<int> calls{0};
        std::thread::id thread;
        flowd_result result = 0;
        std::string text;
    } answer;
    const auto take = [](void* user, flowd_result result, flowd_string text) {
        auto& to = *static_cast<Answer*>(user);
        to.thread = std::this_thread::get_id();
        to.result = result;
        to.text = to_view(text);
        ++to.calls;
    };
    const flowd_string words[] = {to_c("explain"), to_c("tcp")};
    EXPECT_EQ(ext->request(host, words, 0, take, &answer), FLOWD_INVALID);
    EXPECT_EQ(ext->request(host, words, 2, nullptr, &answer), FLOWD_INVALID);
    ASSERT_EQ(ext->request(host, words, 2, take, &answer), FLOWD_OK);
    EXPECT_EQ(asked, (Requests::Words{"explain", "tcp"}));
    outstanding.back()(FLOWD_DENIED, "{}");
    ASSERT_TRUE(eventually([&] { return answer.calls == 1; }));
    EXPECT_EQ(answer.result, FLOWD_DENIED);
    EXPECT_EQ(answer.text, "{}");
    std::thread::id own;
    on_instance(*x, [&] { own = std::this_thread::get_id(); });
    EXPECT_EQ(answer.thread, own);
    outstanding.clear();

    for (int i = 0; i < 16; ++i) EXPECT_EQ(ext->request(host, words, 1, take, &answer), FLOWD_OK);
    EXPECT_EQ(ext->request(host, words, 1, take, &answer), FLOWD_LIMIT);
    outstanding.front()(FLOWD_OK, "1");
    EXPECT_EQ(ext->request(host, words, 1, take, &answer), FLOWD_OK);
    ASSERT_TRUE(eventually([&] { return answer.calls == 2; }));
    EXPECT_TRUE(stops(*x));
    EXPECT_EQ(ext->request(host, words, 1, take, &answer), FLOWD_STOPPED);
    outstanding.back()(FLOWD_OK, "an answer after the stop has no effect");
    EXPECT_EQ(answer.calls, 2);
    requests_.serve({});
}

TEST_F(HostTest, UnknownExtensionsAreNull) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    EXPECT_EQ(host->extension(host, "flowd.registry/2"), nullptr);
    EXPECT_EQ(host->extension(host, nullptr), nullptr);
}

TEST_F(HostTest, DescriptorsOutliveAnInstanceOnlyWithASuccessor) {
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    const auto descriptors = [&](const char* key) {
        const flowd_host* host = host_of(key);
        return Descriptors(host, host->extension(host, FLOWD_EXT_DESCRIPTORS));
    };
    auto old = running(config(FLOWD_PLUGIN, "old"));
    on_instance(*old, [&] { EXPECT_TRUE(descriptors("old").keep("x/event", event.get())); });
    bool taken = false;
    Scripts::of("fresh").prepare = [&]() -> flowd_result {
        taken = static_cast<bool>(descriptors("fresh").take("x/event"));
        EXPECT_TRUE(descriptors("fresh").keep("x/event", event.get()));
        return FLOWD_OK;
    };
    auto neighbour = running(config(FLOWD_PLUGIN, "neighbour"));
    on_instance(*neighbour, [&] {
        EXPECT_FALSE(descriptors("neighbour").take("x/event"));
        EXPECT_TRUE(descriptors("neighbour").held("x/event"));
        EXPECT_FALSE(descriptors("neighbour").held("x/other"));
    });
    descriptors_.make_way(old->host()->id());
    auto fresh = running(config(FLOWD_PLUGIN, "fresh"));
    EXPECT_TRUE(taken);
    ASSERT_TRUE(stops(*old));
    on_instance(*fresh, [&] { EXPECT_TRUE(descriptors("fresh").take("x/event")); });
    ASSERT_TRUE(stops(*fresh));
    EXPECT_TRUE(descriptors_.names().empty());
}

TEST_F(HostTest, InstancesOfferDescriptorsToEachOther) {
    auto marker = running(config(FLOWD_BACKEND, "marker"));
    auto netlink = running(config(FLOWD_PLUGIN, "netlink"));
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    const auto shared = [&](const char* key) {
        const flowd_host* host = host_of(key);
        return Shared(host, host->extension(host, FLOWD_EXT_SHARED));
    };
    const auto offer = [&](Instance& x, const char* key) {
        on_instance(x, [&] { EXPECT_TRUE(shared(key).offer("x/1", event.get())); });
    };
    EXPECT_FALSE(shared("netlink").obtain("x/1")) << "nobody offers it yet";
    offer(*marker, "marker");
    const auto first = shared("netlink").obtain("x/1");
    ASSERT_TRUE(first);
    ASSERT_EQ(::eventfd_write(first->fd.get(), 7), 0);
    eventfd_t value = 0;
    EXPECT_EQ(::eventfd_read(event.get(), &value), 0);
    EXPECT_EQ(value, 7U) << "the same open file";

    EXPECT_EQ(shared("netlink").obtain("x/1")->generation, first->generation);
    offer(*marker, "marker");
    EXPECT_NE(shared("netlink").obtain("x/1")->generation, first->generation) << "another offer";

    auto successor = running(config(FLOWD_BACKEND, "marker/new"));
    offer(*successor, "marker/new");
    ASSERT_TRUE(stops(*successor));
    EXPECT_TRUE(shared("netlink").obtain("x/1")) << "the predecessor's is in force again";
    on_instance(*netlink, [&] {
        shared("netlink").withdraw("x/1");
        EXPECT_EQ(shared("netlink").offer("", event.get()).error().code, FLOWD_INVALID);
    });
    EXPECT_TRUE(shared("netlink").obtain("x/1")) << "not its own to withdraw";
    EXPECT_EQ(shared("marker").offer("x/2", event.get()).error().code, FLOWD_INVALID) << "from another thread";
    ASSERT_TRUE(stops(*marker));
    EXPECT_FALSE(shared("netlink").obtain("x/1"));
}

TEST_F(HostTest, AnotherThreadMayEmitWhileTheInstanceStops) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = host_of("x");
    std::thread stray([&] {
        flowd_event one = event(FLOWD_EVENT_START, 1);
        while (host->emit(host, &one, 1, sizeof one, nullptr, nullptr) != FLOWD_STOPPED) {
        }
    });
    ASSERT_TRUE(stops(*x));
    stray.join();
}

}  // namespace
}  // namespace flowd::core::test
