// SPDX-License-Identifier: Apache-2.0
#include "flowd/host.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <thread>

#include "flowd/testing/fake_host.hpp"

namespace flowd {
namespace {

using namespace std::chrono_literals;
using testing::FakeHost;

class HostTest : public ::testing::Test {
  protected:
    FakeHost fake_{"firefly/regional"};
    std::unique_ptr<Host> host_ = Host::make(fake_.raw()).value();
};

TEST_F(HostTest, AMissingServiceIsNamedNotCalled) {
    fake_.mutable_raw().metric_open = nullptr;
    const auto host = Host::make(fake_.raw());
    ASSERT_FALSE(host);
    EXPECT_EQ(host.error().code, FLOWD_UNSUPPORTED);
    EXPECT_EQ(host.error().message, "the core does not offer flowd_host.metric_open");
}

TEST_F(HostTest, BytesAfterAShorterHostAreNotRead) {
    fake_.mutable_raw().size = offsetof(flowd_host, timer);
    const auto host = Host::make(fake_.raw());
    ASSERT_FALSE(host);
    EXPECT_EQ(host.error().message, "the core does not offer flowd_host.timer");
}

TEST_F(HostTest, EmitReturnsTheNumberOfTakenEvents) {
    const std::vector<Event> events(3, Event::catch_all({1, 2}));
    fake_.accept(2);
    const Emitted emitted = host_->emit(events);
    EXPECT_TRUE(emitted.full());
    EXPECT_EQ(emitted.accepted, 2u);
    EXPECT_FALSE(emitted);
}

TEST_F(HostTest, EmitReturnsTheFlowIdOfEachEvent) {
    const flowd_key one = make_key({*Address::parse("2001:db8::1"), 1}, {*Address::parse("2001:db8::2"), 2}, 6);
    const flowd_key two = make_key({*Address::parse("2001:db8::1"), 3}, {*Address::parse("2001:db8::2"), 2}, 6);
    const std::vector<flowd_event> events{Event::start(one, {1, 1}).raw(), Event::start(two, {1, 1}).raw(),
                                          Event::end(one, {1, 1}).raw(), Event::catch_all({1, 1}).raw()};
    std::vector<std::uint64_t> ids(events.size(), 77);
    EXPECT_TRUE(host_->emit(events, ids));
    EXPECT_NE(ids[0], 0u);
    EXPECT_NE(ids[1], ids[0]);
    EXPECT_EQ(ids[2], ids[0]);
    EXPECT_EQ(ids[3], 0u);
}

TEST_F(HostTest, AnEventThatNamesAFlowCountsOnlyWhileThatFlowLives) {
    const flowd_key key = make_key({*Address::parse("2001:db8::1"), 1}, {*Address::parse("2001:db8::2"), 2}, 6);
    std::vector<std::uint64_t> ids(1);
    ASSERT_TRUE(host_->emit(std::vector{Event::start(key, {1, 1}).raw()}, ids));
    const std::uint64_t flow = ids[0];
    Event ongoing = Event::ongoing(key, {1, 1});
    ongoing->flow_id = flow;
    EXPECT_TRUE(host_->emit(std::vector{ongoing.raw()}, ids));
    EXPECT_EQ(ids[0], flow);
    EXPECT_TRUE(host_->emit(Event::end(key, {1, 1})));
    EXPECT_TRUE(host_->emit(std::vector{ongoing.raw()}, ids));
    EXPECT_EQ(ids[0], 0u);
}

TEST_F(HostTest, TooFewFlowIdsAreNotWritten) {
    const std::vector<flowd_event> events(2, Event::catch_all({1, 1}).raw());
    std::vector<std::uint64_t> ids(1, 77);
    EXPECT_TRUE(host_->emit(events, ids));
    EXPECT_EQ(ids[0], 77u);
}

TEST_F(HostTest, ASenderHasOneNumberAndAllLoopbackAddressesHaveTheSame) {
    const std::uint64_t one = host_->sender_id(*Address::parse("2001:db8::1"));
    EXPECT_NE(one, 0u);
    EXPECT_EQ(host_->sender_id(*Address::parse("2001:db8::1")), one);
    EXPECT_NE(host_->sender_id(*Address::parse("2001:db8::2")), one);
    EXPECT_EQ(host_->sender_id(*Address::parse("::1")), host_->sender_id(*Address::parse("127.0.0.2")));
    EXPECT_NE(host_->sender_id_of_user(0), host_->sender_id_of_user(1000));
    EXPECT_EQ(host_->sender_id_of_user(1000), host_->sender_id_of_user(1000));
}

TEST_F(HostTest, ARefusalHasAReasonASenderAndItsFirstBytes) {
    host_->refused("not_json", "[2001:db8::1]:4711", "{\"ver");
    ASSERT_EQ(fake_.refusals().size(), 1u);
    EXPECT_EQ(fake_.refusals()[0].reason, "not_json");
    EXPECT_EQ(fake_.refusals()[0].sender, "[2001:db8::1]:4711");
    EXPECT_EQ(fake_.refusals()[0].first, "{\"ver");
}

TEST_F(HostTest, ADirectoryThatTheCoreDoesNotHaveIsEmpty) {
    EXPECT_FALSE(host_->state_directory().empty());
    fake_.mutable_raw().state_directory = nullptr;
    fake_.mutable_raw().runtime_directory = nullptr;
    const auto host = Host::make(fake_.raw()).value();
    EXPECT_TRUE(host->state_directory().empty());
    EXPECT_TRUE(host->runtime_directory().empty());
}

TEST_F(HostTest, AStaleHandleDoesNothing) {
    const flowd_host* raw = fake_.raw();
    int calls = 0;
    const auto count = [](void* user) { ++*static_cast<int*>(user); };
    flowd_timer first = 0, second = 0;
    ASSERT_EQ(raw->timer(raw, 1, 0, count, &calls, &first), FLOWD_OK);
    raw->cancel(raw, first);
    ASSERT_EQ(raw->timer(raw, 1, 0, count, &calls, &second), FLOWD_OK);
    EXPECT_NE(first, second);
    raw->cancel(raw, first);
    raw->cancel(raw, 0);
    fake_.advance(1s);
    EXPECT_EQ(calls, 1);

    const UniqueFd fd(eventfd(1, EFD_CLOEXEC));
    flowd_watch old = 0, current = 0;
    const auto ready = [](void* user, int, std::uint32_t) { ++*static_cast<int*>(user); };
    ASSERT_EQ(raw->watch(raw, fd.get(), FLOWD_IO_READ, ready, &calls, &old), FLOWD_OK);
    raw->unwatch(raw, old);
    ASSERT_EQ(raw->watch(raw, fd.get(), FLOWD_IO_READ, ready, &calls, &current), FLOWD_OK);
    EXPECT_EQ(raw->rewatch(raw, old, 0), FLOWD_INVALID);
    raw->unwatch(raw, old);
    fake_.poll();
    EXPECT_EQ(calls, 2);

    flowd_metric_info info{};
    info.size = sizeof info;
    info.type = FLOWD_METRIC_COUNTER;
    info.name = to_c("things_total");
    flowd_metric gone = 0, there = 0;
    ASSERT_EQ(raw->metric_open(raw, &info, &gone), FLOWD_OK);
    raw->metric_remove(raw, gone);
    ASSERT_EQ(raw->metric_open(raw, &info, &there), FLOWD_OK);
    raw->metric_add(raw, gone, 5);
    raw->metric_remove(raw, gone);
    ASSERT_TRUE(fake_.metric("things_total"));
    EXPECT_EQ(fake_.metric("things_total")->value, 0);
}

TEST_F(HostTest, ADescriptorIsWatchedOnce) {
    const UniqueFd fd(eventfd(0, EFD_CLOEXEC));
    const auto first = host_->watch(fd.get(), FLOWD_IO_READ, [](std::uint32_t) {});
    ASSERT_TRUE(first);
    const auto second = host_->watch(fd.get(), FLOWD_IO_READ, [](std::uint32_t) {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, FLOWD_BUSY);
}

TEST_F(HostTest, PostedWorkRunsInOrderOnTheInstancesThread) {
    std::string order;
    std::thread other([&] {
        EXPECT_TRUE(host_->post([&] { order += 'a'; }));
        EXPECT_TRUE(host_->post([&] { order += 'b'; }));
    });
    other.join();
    EXPECT_EQ(order, "");
    ASSERT_TRUE(fake_.run_until([&] { return order.size() == 2; }));
    EXPECT_EQ(order, "ab");
}

TEST_F(HostTest, WorkThatIsRefusedOrNeverRunIsFreed) {
    const auto token = std::make_shared<int>(0);
    EXPECT_TRUE(host_->post([token] {}));
    fake_.set_stopped();
    EXPECT_FALSE(host_->post([token] {}));
    EXPECT_EQ(token.use_count(), 2);  // the refused one is gone, the pending one is kept
    host_.reset();
    EXPECT_EQ(token.use_count(), 1);
}

TEST_F(HostTest, AnExceptionInACallbackIsLoggedUnderTheInstancesName) {
    ASSERT_TRUE(host_->post([] { throw std::runtime_error("out of tea"); }));
    ASSERT_TRUE(fake_.run_until([&] { return !fake_.lines().empty(); }));
    EXPECT_TRUE(fake_.logged("firefly/regional: a posted call threw: out of tea"));
    auto timer = host_->after(1s, [] { throw 42; });
    ASSERT_TRUE(timer);
    fake_.advance(1s);
    EXPECT_TRUE(fake_.logged("a timer callback threw: an exception that is not a std::exception"));
}

TEST_F(HostTest, AWatchReportsUntilItEnds) {
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    const UniqueFd in(fds[0]), out(fds[1]);
    int ready = 0;
    auto watch = host_->watch(in.get(), FLOWD_IO_READ, [&](std::uint32_t conditions) {
        EXPECT_EQ(conditions, static_cast<std::uint32_t>(FLOWD_IO_READ));
        ++ready;
    });
    ASSERT_TRUE(watch);
    fake_.poll();
    EXPECT_EQ(ready, 0);
    ASSERT_EQ(::write(out.get(), "x", 1), 1);
    fake_.poll();
    fake_.poll();  // level-triggered
    EXPECT_EQ(ready, 2);
    ASSERT_TRUE(watch->conditions(0));
    fake_.poll();
    EXPECT_EQ(ready, 2);
    ASSERT_TRUE(watch->conditions(FLOWD_IO_READ));
    fake_.poll();
    EXPECT_EQ(ready, 3);
    watch->reset();
    fake_.poll();
    EXPECT_EQ(ready, 3);
}

TEST_F(HostTest, AWatchMayEndInItsOwnCallback) {
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    const UniqueFd in(fds[0]), out(fds[1]);
    ASSERT_EQ(::write(out.get(), "x", 1), 1);
    Watch watch;
    std::string captured = "a text long enough not to live inside the function object itself";
    auto made = host_->watch(in.get(), FLOWD_IO_READ, [&watch, captured](std::uint32_t) {
        watch.reset();
        EXPECT_EQ(captured.size(), 64u);  // what was captured lives until the callback returns
    });
    ASSERT_TRUE(made);
    watch = std::move(made).value();
    fake_.poll();
    EXPECT_FALSE(watch);
}

TEST_F(HostTest, TimersFireOnceOrPeriodically) {
    int once = 0, often = 0;
    auto first = host_->after(10s, [&] { ++once; });
    auto second = host_->every(3s, [&] { ++often; });
    ASSERT_TRUE(first);
    ASSERT_TRUE(second);
    fake_.advance(3s);
    EXPECT_EQ(often, 1);
    fake_.advance(3s);
    fake_.advance(4s);
    EXPECT_EQ(often, 3);
    EXPECT_EQ(once, 1);
    fake_.advance(10s);
    EXPECT_EQ(once, 1);
    EXPECT_EQ(often, 4);  // late periods are not made up for
    second->reset();
    fake_.advance(10s);
    EXPECT_EQ(often, 4);
}

TEST_F(HostTest, ATimerFiresInRealTime) {
    bool fired = false;
    auto timer = host_->after(1ms, [&] { fired = true; });
    ASSERT_TRUE(timer);
    EXPECT_TRUE(fake_.run_until([&] { return fired; }));
}

TEST_F(HostTest, MetricsLiveAsLongAsTheirObject) {
    {
        Counter refused = host_->counter("events_refused_total", "Events refused.", {{"reason", "bad"}});
        refused.add();
        refused.add(2);
        Counter same = host_->counter("events_refused_total", "Events refused.", {{"reason", "bad"}});
        same.add();
        EXPECT_EQ(fake_.metric("events_refused_total{reason=\"bad\"}")->value, 4);
        Counter moved = std::move(refused);
        moved.set_total(10);
        EXPECT_EQ(fake_.metric("events_refused_total{reason=\"bad\"}")->value, 10);
    }
    EXPECT_FALSE(fake_.metric("events_refused_total{reason=\"bad\"}"));
    const double bounds[] = {0.1, 1};
    Histogram histogram = host_->histogram("latency_seconds", "Latency.", bounds);
    histogram.observe(0.5);
    EXPECT_EQ(fake_.metric("latency_seconds")->observations, std::vector<double>{0.5});
    Gauge gauge = host_->gauge("depth", "Depth.");
    gauge.set(5);
    gauge.add(-2);
    EXPECT_EQ(fake_.metric("depth")->value, 3);
}

TEST_F(HostTest, ARefusedMetricIsLoggedOnceAndHasNoEffect) {
    Counter counter = host_->counter("x", "X.");
    Gauge gauge = host_->gauge("x", "X.");  // the same name with another type
    EXPECT_FALSE(gauge);
    gauge.set(7);
    EXPECT_TRUE(fake_.logged("the core refused the metric x"));
}

TEST_F(HostTest, TheRegistryMapsNamesAndIds) {
    fake_.add_experiment(2, "atlas");
    fake_.add_activity(2, 7, "datachallenge");
    const Registry registry = host_->registry();
    ASSERT_TRUE(registry);
    EXPECT_EQ(registry.experiment_id("atlas"), 2u);
    EXPECT_EQ(registry.experiment_id("nobody"), std::nullopt);
    EXPECT_EQ(registry.activity_id(2, "datachallenge"), 7u);
    EXPECT_EQ(registry.experiment_name(2), "atlas");
    EXPECT_EQ(registry.activity_name(2, 8), "");
}

TEST_F(HostTest, AMarkCallsBackOnceItIsPassedAndNeverIfRefused) {
    std::string order;
    const Delivery delivery = host_->delivery();
    ASSERT_TRUE(delivery);
    EXPECT_TRUE(delivery.mark([&] { order += 'a'; }));
    EXPECT_TRUE(delivery.mark([&] {
        order += 'b';
        EXPECT_TRUE(delivery.mark([&] { order += 'c'; }));
    }));
    EXPECT_EQ(fake_.marks(), 2U);
    fake_.pass_marks(2);
    EXPECT_EQ(order, "ab");
    const auto held = std::make_shared<int>(0);
    fake_.answer_marks(FLOWD_LIMIT);
    const auto refused = delivery.mark([held] {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, FLOWD_LIMIT);
    EXPECT_EQ(held.use_count(), 1);
    fake_.pass_marks();
    EXPECT_EQ(order, "abc");
    EXPECT_EQ(Delivery().mark([] {}).error().code, FLOWD_UNSUPPORTED);
}

TEST_F(HostTest, WithoutAnExtensionItsClassIsEmpty) {
    fake_.mutable_raw().extension = [](const flowd_host*, const char*) -> const void* { return nullptr; };
    const auto host = Host::make(fake_.raw()).value();
    EXPECT_FALSE(host->registry());
    EXPECT_EQ(host->registry().experiment_id("atlas"), std::nullopt);
    EXPECT_EQ(host->flows().count(), 0u);
    EXPECT_TRUE(host->flows().visit([](const flowd_flow&) {}));
    EXPECT_FALSE(host->descriptors().take("udp:[::1]:10514"));
    EXPECT_TRUE(host->descriptors().keep("udp:[::1]:10514", 0));
}

TEST_F(HostTest, VisitsEndOnFalseAndRethrowExceptions) {
    flowd_flow flow{};
    flow.size = sizeof flow;
    flow.key = make_key({*Address::parse("::1"), 1}, {*Address::parse("::2"), 2}, 6);
    for (int i = 0; i < 3; ++i) fake_.add_flow(flow);
    const LiveFlows flows = host_->flows();
    int seen = 0;
    EXPECT_TRUE(flows.visit([&](const flowd_flow&) { ++seen; }));
    EXPECT_EQ(seen, 3);
    EXPECT_TRUE(flows.visit([&](const flowd_flow&) { return ++seen < 4; }));
    EXPECT_EQ(seen, 4);
    EXPECT_THROW((void)flows.visit([](const flowd_flow&) { throw std::runtime_error("x"); }), std::runtime_error);
    EXPECT_TRUE(
        flows.find(make_key({*Address::parse("::2"), 2}, {*Address::parse("::1"), 1}, 6), [](const auto&) {}).value());
    EXPECT_FALSE(
        flows.find(make_key({*Address::parse("::2"), 2}, {*Address::parse("::1"), 9}, 6), [](const auto&) {}).value());
    EXPECT_EQ(flows.count(), 3u);
}

TEST_F(HostTest, DescriptorsAreKeptForASuccessor) {
    const Descriptors descriptors = host_->descriptors();
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    const UniqueFd in(fds[0]), out(fds[1]);
    ASSERT_TRUE(descriptors.keep("marker/x", in.get()));
    const UniqueFd taken = descriptors.take("marker/x");
    ASSERT_TRUE(taken);
    EXPECT_NE(taken.get(), in.get());
    descriptors.forget("marker/x");
    EXPECT_FALSE(descriptors.take("marker/x"));
}

}  // namespace
}  // namespace flowd
