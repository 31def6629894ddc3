// SPDX-License-Identifier: Apache-2.0
// Several announcers, several backends, queues of 64, one backend that stalls: none lost, none doubled, in order.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

constexpr std::chrono::seconds deadline(60);

/// Something to wait for, with a deadline and without a sleep.
class Signal {
  public:
    void raise() {
        {
            const std::lock_guard lock(mutex_);
            raised_ = true;
        }
        condition_.notify_all();
    }
    bool wait() {
        std::unique_lock lock(mutex_);
        return condition_.wait_for(lock, deadline, [this] { return std::exchange(raised_, false); });
    }

  private:
    std::mutex mutex_;
    std::condition_variable condition_;
    bool raised_ = false;
};

/// A plugin: start and end of many flows, in batches, again after FULL.
class Plugin {
  public:
    Plugin(Bus& bus, const std::string& name) : bus_(bus) {
        id_ = *bus.add_announcer({name, FLOWD_PRECEDENCE_EXPLICIT, 0, [this] { room_.raise(); }});
    }
    void run(std::uint32_t first, std::uint32_t flows, std::uint32_t keys) {
        std::vector<flowd_event> events;
        for (std::uint32_t i = 0; i < flows; ++i) {
            events.push_back(start(first + i % keys));
            events.push_back(end(first + i % keys));
            if (events.size() >= 50 || i + 1 == flows) offer(events);
        }
    }
    bool gave_up = false;

  private:
    void offer(std::vector<flowd_event>& events) {
        std::size_t done = 0;
        while (done < events.size() && !gave_up) {
            std::size_t accepted = 0;
            const auto result = bus_.emit(id_, events.data() + done, events.size() - done, sizeof(flowd_event), &accepted);
            done += accepted;
            if (result == FLOWD_FULL)
                gave_up = !room_.wait();
            else if (result != FLOWD_OK)
                gave_up = true;
        }
        events.clear();
    }

    Bus& bus_;
    AnnouncerId id_;
    Signal room_;
};

/// A backend on its own thread, which holds every event against what must have come before it.
class Sink {
  public:
    Sink(Bus& bus, const std::string& name, std::size_t queue, std::int64_t stall_after_ns) : bus_(bus) {
        QueueLimits limits;
        limits.events = queue;
        limits.stall_after_ns = stall_after_ns;
        options_ = {name, flow_kinds, limits, [this] { wake_.raise(); }};
        queue_ = *bus.add_backend(options_);
    }
    ~Sink() { bus_.remove_backend(queue_); }
    /// Until `flows` have ended. `pause` is called before each taking.
    void run(std::uint64_t flows, const std::function<void(std::uint64_t ended)>& pause = {}) {
        while (ended < flows) {
            if (pause) pause(ended);
            const auto events = queue_->take();
            for (const auto& event : events) check(event);
            if (events.empty() && !wake_.wait()) return;
        }
        for (const auto& event : queue_->take()) check(event);
    }
    void hand_over() {
        auto fresh = bus_.replace_backend(queue_, options_);
        ASSERT_TRUE(fresh.ok());
        for (auto events = queue_->take(); !events.empty(); events = queue_->take())
            for (const auto& event : events) check(event);
        bus_.remove_backend(std::exchange(queue_, *fresh));
    }
    std::uint64_t started = 0;
    std::uint64_t ended = 0;
    std::uint64_t wrong = 0;

  private:
    using Tuple = std::array<std::uint8_t, sizeof(flowd_key)>;
    void check(const flowd_event& event) {
        Tuple tuple{};
        std::memcpy(tuple.data(), &event.key, sizeof event.key);
        std::uint64_t& live = live_[tuple];
        // A successor is told again what its predecessor was told.
        if (event.kind == FLOWD_EVENT_START && live == event.flow_id && (event.flags & FLOWD_RESYNC)) return;
        if (event.kind == FLOWD_EVENT_START) {
            ++started;
            // Ids of one record rise, so an id that was seen before is a flow told twice.
            if (live != 0 || !seen_.emplace(event.flow_id, true).second) ++wrong;
            live = event.flow_id;
        } else {
            ++ended;
            if (live != event.flow_id) ++wrong;
            live = 0;
        }
    }

    Bus& bus_;
    BackendOptions options_;
    std::shared_ptr<BackendQueue> queue_;
    Signal wake_;
    std::map<Tuple, std::uint64_t> live_;
    std::map<std::uint64_t, bool> seen_;
};

TEST(Concurrency, EventsAreDeliveredOnceInOrderWithQueuesOf64AndAStalledBackend) {
    constexpr std::uint32_t flows_each = 2000;
    constexpr std::uint32_t plugins = 3;
    constexpr std::uint64_t all_flows = flows_each * plugins;
    FlowLimits limits;
    limits.tombstone_ns = second_ns / 100;
    Bus bus(limits);

    std::vector<std::unique_ptr<Plugin>> plugin;
    for (std::uint32_t i = 0; i < plugins; ++i) plugin.push_back(std::make_unique<Plugin>(bus, std::to_string(i)));
    Sink quick(bus, "quick", 64, 60 * second_ns);
    Sink taken_over(bus, "taken-over", 64, 60 * second_ns);
    Sink stalled(bus, "stalled", 64, second_ns / 50);
    Signal all_announced;

    std::atomic<bool> stop{false};
    std::thread upkeep([&] {
        while (!stop) {
            bus.tick();
            std::uint64_t seen = 0;
            bus.visit([&](std::span<const flowd_flow> flows) {
                seen += flows.size();
                return true;
            });
            EXPECT_LE(seen, all_flows);
            (void)bus.counters();
        }
    });
    std::vector<std::thread> sinks;
    sinks.emplace_back([&] { quick.run(all_flows); });
    sinks.emplace_back([&] {
        bool done = false;
        taken_over.run(all_flows, [&](std::uint64_t ended) {
            if (ended > all_flows / 3 && !std::exchange(done, true)) taken_over.hand_over();
        });
    });
    sinks.emplace_back([&] {
        bool waited = false;
        stalled.run(all_flows, [&](std::uint64_t ended) {
            // Takes some, then nothing more until every plugin has done its work without it.
            if (ended > 500 && !std::exchange(waited, true)) {
                EXPECT_TRUE(all_announced.wait());
            }
        });
    });
    std::vector<std::thread> sources;
    // Each tuple is used by 50 flows one after another: fewer than a backend may be owed of one tuple.
    for (std::uint32_t i = 0; i < plugins; ++i)
        sources.emplace_back([&, i] { plugin[i]->run(i * 10'000, flows_each, flows_each / 50); });
    for (auto& thread : sources) thread.join();
    all_announced.raise();
    for (auto& thread : sinks) thread.join();
    stop = true;
    upkeep.join();

    for (const auto& source : plugin) EXPECT_FALSE(source->gave_up);
    for (const Sink* sink : {&quick, &taken_over, &stalled}) {
        EXPECT_EQ(sink->started, all_flows);
        EXPECT_EQ(sink->ended, all_flows);
        EXPECT_EQ(sink->wrong, 0u);
    }
    const auto counters = bus.counters();
    EXPECT_EQ(counters.live, 0u);
    EXPECT_EQ(counters.owed, 0u);
    for (const auto& backend : counters.backends) {
        EXPECT_EQ(backend.given_up, 0u) << backend.name;
        EXPECT_LE(backend.high_water, 64u) << backend.name;
        if (backend.name == "stalled") {
            EXPECT_GE(backend.stalls, 1u);
        }
    }
}

TEST(Concurrency, ConcurrentAnnouncementsOfOneFlowAreOneFlow) {
    Bus bus;
    auto queue = *bus.add_backend({"firefly", flow_kinds});
    constexpr std::uint32_t flows = 3000;
    constexpr int plugins = 4;
    const auto at_once = [&](const std::vector<AnnouncerId>& ids, const auto& event_of_number) {
        std::vector<std::thread> threads;
        for (const AnnouncerId id : ids)
            threads.emplace_back([&, id] {
                for (std::uint32_t number = 0; number < flows; ++number) {
                    const flowd_event event = event_of_number(number);
                    EXPECT_EQ(bus.emit(id, &event, 1, sizeof event, nullptr), FLOWD_OK);
                }
            });
        for (auto& thread : threads) thread.join();
    };
    std::vector<AnnouncerId> ids;
    for (int i = 0; i < plugins; ++i) ids.push_back(*bus.add_announcer({std::to_string(i)}));
    // Nobody takes meanwhile: all that they could make of it fits into the queue. The ends wait until all have started, so
    // that a flow which starts twice cannot be one that had ended.
    at_once(ids, [](std::uint32_t number) { return start(number); });
    EXPECT_EQ(bus.count(), flows);
    at_once(ids, [](std::uint32_t number) { return end(number); });
    EXPECT_EQ(bus.count(), 0u);
    std::map<std::pair<std::uint32_t, std::uint16_t>, int> told;  // by kind and flow
    for (auto events = queue->take(); !events.empty(); events = queue->take())
        for (const auto& event : events) ++told[{event.kind, event.key.destination_port}];
    EXPECT_EQ(told.size(), 2 * flows);
    for (const auto& [what, times] : told) EXPECT_EQ(times, 1) << "kind " << what.first << " of flow " << what.second;
}

/// Takes until `stop`; sleeps whenever its queue is empty.
class Sleeper {
  public:
    Sleeper(Bus& bus, const QueueLimits& limits) : bus_(bus) {
        queue_ = *bus.add_backend({"sleeper", flow_kinds, limits, [this] { wake_.raise(); }});
        thread_ = std::thread([this] {
            while (!over_ && !timed_out) {
                const auto events = queue_->take();
                taken += events.size();
                if (!events.empty())
                    took.raise();
                else
                    timed_out = !wake_.wait();
            }
        });
    }
    ~Sleeper() {
        over_ = true;
        wake_.raise();
        thread_.join();
        bus_.remove_backend(queue_);
    }
    std::atomic<std::uint64_t> taken{0};
    std::atomic<bool> timed_out{false};
    Signal took;

  private:
    Bus& bus_;
    std::shared_ptr<BackendQueue> queue_;
    Signal wake_;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

constexpr std::uint32_t exchanges = 20'000;  // of two threads, of which each waits for the other

flowd_event exchanged(std::uint32_t number) {
    return number % 2 == 0 ? start(number / 2) : end(number / 2);
}

TEST(Concurrency, ABackendThatFallsAsleepIsWokenByTheNextEvent) {
    FlowLimits limits;
    limits.tombstone_ns = 0;
    Bus bus(limits);
    const auto id = *bus.add_announcer({"api"});
    Sleeper sleeper(bus, {});
    for (std::uint32_t number = 0; number < exchanges; ++number) {
        const auto event = exchanged(number);
        ASSERT_EQ(bus.emit(id, &event, 1, sizeof event, nullptr), FLOWD_OK);
        while (sleeper.taken <= number) ASSERT_TRUE(sleeper.took.wait()) << number << " of " << exchanges;
    }
}

TEST(Concurrency, APluginThatFindsAQueueFullIsToldOfTheRoom) {
    FlowLimits limits;
    limits.tombstone_ns = 0;
    Bus bus(limits);
    Signal room;
    const auto id = *bus.add_announcer({"api", FLOWD_PRECEDENCE_EXPLICIT, 0, [&room] { room.raise(); }});
    auto one = small(1);
    one.stall_after_ns = 3600 * second_ns;
    Sleeper sleeper(bus, one);
    for (std::uint32_t number = 0; number < exchanges; ++number) {
        const auto event = exchanged(number);
        while (bus.emit(id, &event, 1, sizeof event, nullptr) == FLOWD_FULL)
            ASSERT_TRUE(room.wait()) << number << " of " << exchanges;
    }
}

TEST(Concurrency, APluginIsToldOfEachMarkOnceItsEventsAreTaken) {
    FlowLimits limits;
    limits.tombstone_ns = 0;
    Bus bus(limits);
    std::atomic<std::size_t> marks{0};
    Signal passed;
    const auto id = *bus.add_announcer({"api", FLOWD_PRECEDENCE_EXPLICIT, 0, nullptr, [&](std::size_t count) {
                                            marks += count;
                                            passed.raise();
                                        }});
    Sleeper sleeper(bus, {});
    for (std::uint32_t number = 0; number < exchanges; ++number) {
        const auto event = exchanged(number);
        ASSERT_EQ(bus.emit(id, &event, 1, sizeof event, nullptr), FLOWD_OK);
        ASSERT_EQ(bus.mark(id), FLOWD_OK);
        while (marks <= number) ASSERT_TRUE(passed.wait()) << number << " of " << exchanges;
        ASSERT_GT(sleeper.taken, number);
    }
}

TEST(Concurrency, PluginsAndBackendsMayBeAddedAndRemovedConcurrently) {
    FlowLimits limits;
    limits.tombstone_ns = second_ns / 100;
    Bus bus(limits);
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 2; ++i)
        threads.emplace_back([&, i] {
            while (!stop) {
                const auto id = *bus.add_announcer({std::to_string(i)});
                for (std::uint32_t number = 0; number < 200; ++number) {
                    const auto event = start(i * 1000 + number);
                    (void)bus.emit(id, &event, 1, sizeof event, nullptr);
                }
                bus.remove_announcer(id);
            }
        });
    threads.emplace_back([&] {
        while (!stop) bus.tick();
    });
    for (int round = 0; round < 30; ++round) {
        QueueLimits few;
        few.events = 16;
        few.stall_after_ns = 1'000'000;
        auto queue = *bus.add_backend({"firefly", all_kinds, few});
        for (int i = 0; i < 20; ++i) (void)queue->take();
        queue = *bus.replace_backend(queue, {"firefly", all_kinds, few});
        for (int i = 0; i < 20; ++i) (void)queue->take();
        bus.remove_backend(queue);
    }
    stop = true;
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(bus.count(), 0u);
    EXPECT_EQ(bus.counters().owed, 0u);
}

}  // namespace
}  // namespace flowd::core::test
