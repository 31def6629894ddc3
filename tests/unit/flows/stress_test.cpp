// SPDX-License-Identifier: Apache-2.0
// Eight announcers, four backends (quick, slow, one that refuses and is full now and then, one that is replaced), reloads
// and marks: each backend hears each flow's start and end once and in order. FLOWD_LONG=1 runs it in full: 20 million
// events; it is meant for ThreadSanitizer. Otherwise a fiftieth of that.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t sources = 8;
const bool in_full = std::getenv("FLOWD_LONG") != nullptr;
const std::uint32_t flows_each = in_full ? 1'250'000 : 25'000;
const std::uint32_t keys_each =
    in_full ? 40'000 : 1'000;  // a tuple is used by fewer flows than a backend may be owed of one
const std::uint64_t all_flows = std::uint64_t{sources} * flows_each;
const std::uint64_t wanted_reloads = in_full ? 120 : 12;
const std::uint64_t wanted_full = in_full ? 1'000 : 100;
const std::uint64_t wanted_resyncs = in_full ? 100 : 10;

/// Raised by callbacks, waited for by the thread that has them.
class Bell {
  public:
    void ring() {
        {
            const std::lock_guard lock(mutex_);
            rung_ = true;
        }
        changed_.notify_all();
    }
    [[nodiscard]] bool wait(std::chrono::seconds limit = 120s) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, limit, [this] { return std::exchange(rung_, false); });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool rung_ = false;
};

/// What one backend has heard of each flow. Flows are told apart by their start time, which is their number plus one.
class Ledger {
  public:
    void hear(const flowd_event& event) {
        if (event.kind == FLOWD_EVENT_ONGOING) return;
        const auto number = static_cast<std::uint64_t>(event.start_time_ns - 1);
        if (number >= heard_.size()) {
            ++wrong;
            return;
        }
        std::uint8_t& heard = heard_[number];
        if (event.kind == FLOWD_EVENT_START) {
            // A successor is told again what its predecessor may have been told.
            if (heard == 0 || (heard == started && may_repeat && (event.flags & FLOWD_RESYNC)))
                heard = started;
            else
                ++wrong;
        } else if (heard == started) {
            heard = over;
            ++ended;
        } else {
            ++wrong;
        }
    }
    std::uint64_t ended = 0;
    std::uint64_t wrong = 0;
    bool may_repeat = false;

  private:
    static constexpr std::uint8_t started = 1, over = 2;
    std::vector<std::uint8_t> heard_ = std::vector<std::uint8_t>(all_flows, 0);
};

struct Source {
    Source(Bus& of, std::uint32_t own) : bus(of), number(own) { id = *bus.add_announcer(options()); }

    AnnouncerOptions options() {
        AnnouncerOptions made{"source-" + std::to_string(number)};
        made.on_room = [this] { room.ring(); };
        made.on_marks = [this](std::size_t count) { passed += count; };
        return made;
    }
    void run() {
        std::vector<flowd_event> batch;
        constexpr std::uint32_t window = 100;  // flows that are live at a time
        for (std::uint32_t i = 0; i < flows_each + window; ++i) {
            if (i < flows_each) batch.push_back(event(FLOWD_EVENT_START, i));
            if (i >= window) batch.push_back(event(FLOWD_EVENT_END, i - window));
            if (batch.size() >= 64 || i + 1 == flows_each + window) offer(batch);
        }
    }

    Bus& bus;
    const std::uint32_t number;
    AnnouncerId id;
    Bell room;
    std::atomic<std::uint64_t> passed{0};
    std::uint64_t marked = 0;
    std::uint64_t full = 0;
    bool gave_up = false;

  private:
    [[nodiscard]] flowd_event event(std::uint32_t kind, std::uint32_t flow) const {
        const std::uint32_t key = number * keys_each + flow % keys_each;
        flowd_event made = event_of(kind, key_of(key % 60'000 + 1));
        made.key.destination[10] = static_cast<std::uint8_t>(key / 60'000);
        if (kind == FLOWD_EVENT_START) made.start_time_ns = 1 + std::int64_t{number} * flows_each + flow;
        return made;
    }
    void offer(std::vector<flowd_event>& batch) {
        for (std::size_t done = 0; done < batch.size() && !gave_up;) {
            std::size_t accepted = 0;
            const auto result =
                bus.emit(id, batch.data() + done, batch.size() - done, sizeof(flowd_event), &accepted, nullptr);
            done += accepted;
            if (result == FLOWD_FULL) {
                ++full;
                gave_up = !room.wait();
            } else if (result != FLOWD_OK) {
                gave_up = true;
            }
        }
        batch.clear();
        if (number != 0) return;
        if (bus.mark(id) == FLOWD_OK) ++marked;
    }
};

struct Sink {
    Sink(Bus& of, const std::string& called, std::size_t queue_size, std::int64_t stall_after_ns) : bus(of) {
        options = {called, flow_kinds, {.events = queue_size, .stall_after_ns = stall_after_ns}, [this] { bell.ring(); }};
        queue = *bus.add_backend(options);
    }
    ~Sink() { bus.remove_backend(queue); }

    template <typename Handle>
    void run(Handle handle) {
        while (ledger.ended < all_flows && !gave_up) {
            const auto events = queue->take();
            if (!events.empty())
                handle(events);
            else
                gave_up = !bell.wait();
        }
        handle(queue->take());
    }
    void hear(std::span<const flowd_event> events) {
        for (const flowd_event& event : events) ledger.hear(event);
    }

    Bus& bus;
    BackendOptions options;
    std::shared_ptr<BackendQueue> queue;
    Bell bell;
    Ledger ledger;
    bool gave_up = false;
};

TEST(Stress, EachBackendReceivesEachStartAndEndOnceAndInOrder) {
    FlowLimits limits;
    limits.tombstone_ns = second_ns / 100;
    limits.max_live = 8'000'000;
    Bus bus(limits);
    std::vector<std::unique_ptr<Source>> source;
    for (std::uint32_t i = 0; i < sources; ++i) source.push_back(std::make_unique<Source>(bus, i));
    Sink quick(bus, "quick", 65'536, 60 * second_ns);
    Sink slow(bus, "slow", 2'048, second_ns / 500);
    Sink moody(bus, "moody", 4'096, second_ns);
    Sink replaced(bus, "replaced", 1'024, second_ns);
    replaced.ledger.may_repeat = true;

    std::atomic<bool> stop{false};
    std::thread upkeep([&] {
        while (!stop) {
            bus.tick();
            (void)bus.counters();
            std::this_thread::sleep_for(1ms);
        }
    });
    std::vector<std::thread> sinks;
    sinks.emplace_back([&] { quick.run([&](std::span<const flowd_event> events) { quick.hear(events); }); });
    sinks.emplace_back([&] {
        std::uint64_t batch = 0;
        slow.run([&](std::span<const flowd_event> events) {
            slow.hear(events);
            if (++batch % 100 == 0) std::this_thread::sleep_for(4ms);  // longer than it is waited for
        });
    });
    std::uint64_t refused = 0;
    sinks.emplace_back([&] {
        std::uint64_t batch = 0;
        moody.run([&](std::span<const flowd_event> events) {
            ++batch;
            if (events.size() > 1 && batch % 5 == 0) {
                const std::size_t some = events.size() / 2;
                moody.hear(events.first(some));
                moody.queue->settle(Fate::taken, some);
                moody.queue->hold();
                if (batch % 100 == 0) std::this_thread::sleep_for(3ms);
                return;
            }
            moody.hear(events);
            if (events.empty() || batch % 7 != 0) return;
            moody.queue->settle(Fate::taken, events.size() - 1);
            moody.queue->settle(Fate::refused, 1);
            ++refused;
        });
    });
    std::uint64_t reloads = 0, walks_of_predecessors = 0, batches = 0;
    bool held = false;
    sinks.emplace_back([&] {
        replaced.run([&](std::span<const flowd_event> events) {
            // Full for a while before it is replaced, so that its successor is owed what it missed.
            if (!events.empty() && ++batches % 64 == 0) {
                replaced.queue->hold();
                std::this_thread::sleep_for(2ms);
                held = true;
                return;
            }
            replaced.hear(events);
            if (!std::exchange(held, false)) return;
            if (reloads >= wanted_reloads || replaced.ledger.ended < (reloads + 1) * (all_flows / (wanted_reloads + 2)))
                return;
            ++reloads;
            for (const auto& own : bus.counters().backends)
                if (own.name == "replaced") walks_of_predecessors += own.resyncs;
            const auto old = replaced.queue;
            auto fresh = bus.replace_backend(old, replaced.options);
            ASSERT_TRUE(fresh.ok());
            replaced.queue = *fresh;
            for (auto rest = old->take(); !rest.empty(); rest = old->take()) replaced.hear(rest);
            EXPECT_EQ(old->close().total(), 0u);
            Source& other = *source[1 + reloads % (sources - 1)];
            EXPECT_TRUE(bus.replace_announcer(other.id, other.options()));
            bus.set_limits(limits);
        });
    });
    std::vector<std::thread> threads;
    for (auto& own : source) threads.emplace_back([&own] { own->run(); });
    for (auto& thread : threads) thread.join();
    for (auto& thread : sinks) thread.join();
    stop = true;
    upkeep.join();

    std::uint64_t full = 0, accepted = 0, resyncs = walks_of_predecessors;
    for (const auto& own : source) {
        EXPECT_FALSE(own->gave_up) << own->number;
        full += own->full;
    }
    EXPECT_EQ(source[0]->passed, source[0]->marked) << "every mark was passed, and once";
    const auto counters = bus.counters();
    for (const auto& own : counters.announcers) accepted += own.accepted;
    for (const Sink* sink : {&quick, &slow, &moody, &replaced}) {
        EXPECT_FALSE(sink->gave_up) << sink->options.name;
        EXPECT_EQ(sink->ledger.ended, all_flows) << sink->options.name;
        EXPECT_EQ(sink->ledger.wrong, 0u) << sink->options.name;
    }
    for (const auto& own : counters.backends) {
        EXPECT_EQ(own.given_up, 0u) << own.name;
        resyncs += own.resyncs;
        if (own.name == "moody") {
            full += own.held;
            EXPECT_EQ(own.refused, refused);
        }
    }
    EXPECT_EQ(counters.live, 0u);
    EXPECT_EQ(counters.owed, 0u);
    EXPECT_EQ(accepted, 2 * all_flows);
    EXPECT_GE(reloads, wanted_reloads);
    EXPECT_GE(full, wanted_full);
    EXPECT_GE(resyncs, wanted_resyncs);
    EXPECT_GT(refused, 0u);
    std::printf("%llu events, %llu reloads, %llu times full, %llu resyncs\n", static_cast<unsigned long long>(accepted),
                static_cast<unsigned long long>(reloads), static_cast<unsigned long long>(full),
                static_cast<unsigned long long>(resyncs));
}

}  // namespace
}  // namespace flowd::core::test
