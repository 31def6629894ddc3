// SPDX-License-Identifier: Apache-2.0
// One plugin, two backends, start/end pairs in batches; and a bare mutex with a deque per consumer as the floor.
#include <benchmark/benchmark.h>
#include <time.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/flows/bus.hpp"
#include "flowd/address.hpp"

namespace {

using namespace flowd;
using namespace flowd::core;

constexpr std::uint32_t events_per_run = 2'000'000;
constexpr std::uint32_t tuples = 1u << 20;
constexpr std::uint32_t concurrent = 4096;  // flows between their start and their end

class Signal {
  public:
    void raise() {
        {
            const std::lock_guard lock(mutex_);
            raised_ = true;
        }
        condition_.notify_one();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        condition_.wait(lock, [this] { return raised_; });
        raised_ = false;
    }

  private:
    std::mutex mutex_;
    std::condition_variable condition_;
    bool raised_ = false;
};

double process_cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

flowd_event template_event() {
    flowd_event event{};
    event.size = sizeof event;
    event.key = make_key({*Address::parse("2001:db8::1"), 443}, {*Address::parse("2001:db8::2"), 0}, 6);
    event.tag = {2, 16};
    return event;
}

/// Starts, and `concurrent` flows later their ends.
void fill(std::vector<flowd_event>& events, std::uint32_t& next, const flowd_event& pattern) {
    const auto name = [](flowd_event& event, std::uint32_t number) {
        number %= tuples;
        event.key.destination_port = static_cast<std::uint16_t>(number);
        std::memcpy(event.key.destination + 8, &number, sizeof number);
    };
    for (std::size_t i = 0; i + 1 < events.size(); i += 2, ++next) {
        events[i] = pattern;
        events[i].kind = FLOWD_EVENT_START;
        name(events[i], next);
        events[i + 1] = pattern;
        events[i + 1].kind = next < concurrent ? FLOWD_EVENT_ONGOING : FLOWD_EVENT_END;
        name(events[i + 1], next < concurrent ? next : next - concurrent);
    }
}

std::uint64_t read_all(std::span<const flowd_event> events) {
    std::uint64_t sum = 0;
    for (const auto& event : events) sum += event.flow_id + event.kind;
    return sum;
}

void BM_Bus(benchmark::State& state) {
    const auto batch = static_cast<std::size_t>(state.range(0));
    const bool with_application = state.range(1) != 0;
    FlowLimits limits;
    limits.tombstone_ns = second_ns / 10;  // at this rate, 5 s of tombstones would be millions
    Bus bus(limits);
    Signal room;
    const auto id = *bus.add_announcer({"bench", FLOWD_PRECEDENCE_EXPLICIT, 0, [&] { room.raise(); }});
    flowd_event pattern = template_event();
    if (with_application) pattern.application = {"xrootd", 6};
    std::uint32_t next = 0;
    std::vector<flowd_event> events(batch);
    const double cpu_begin = process_cpu_seconds();
    for (auto _ : state) {
        struct Consumer {
            Signal wake;
            std::shared_ptr<BackendQueue> queue;
            std::thread thread;
        };
        Consumer consumers[2];
        bool stop = false;
        std::mutex stop_mutex;
        const auto begin = std::chrono::steady_clock::now();
        for (auto& consumer : consumers) {
            consumer.queue = *bus.add_backend({"sink", 0x0e, {}, [&consumer] { consumer.wake.raise(); }});
            consumer.thread = std::thread([&] {
                for (;;) {
                    const auto taken = consumer.queue->take();
                    benchmark::DoNotOptimize(read_all(taken));
                    if (!taken.empty()) continue;
                    {
                        const std::lock_guard lock(stop_mutex);
                        if (stop) return;
                    }
                    consumer.wake.wait();
                }
            });
        }
        for (std::uint32_t sent = 0; sent < events_per_run; sent += static_cast<std::uint32_t>(batch)) {
            fill(events, next, pattern);
            for (std::size_t done = 0; done < batch;) {
                std::size_t accepted = 0;
                const auto result = bus.emit(id, events.data() + done, batch - done, sizeof(flowd_event), &accepted);
                done += accepted;
                if (result == FLOWD_FULL) room.wait();
            }
            if (sent / 65536 != (sent + batch) / 65536) bus.tick();
        }
        {
            const std::lock_guard lock(stop_mutex);
            stop = true;
        }
        for (auto& consumer : consumers) {
            consumer.wake.raise();
            consumer.thread.join();
        }
        state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        for (auto& consumer : consumers) bus.remove_backend(consumer.queue);
    }
    const auto events_sent = static_cast<std::int64_t>(state.iterations()) * events_per_run;
    state.SetItemsProcessed(events_sent);
    // Of all three threads together; unlike the rate it does not suffer from what else the machine does.
    state.counters["cpu_ns_per_event"] = (process_cpu_seconds() - cpu_begin) / static_cast<double>(events_sent) * 1e9;
}
BENCHMARK(BM_Bus)
    ->ArgNames({"batch", "application"})
    ->Args({2, 0})
    ->Args({64, 0})
    ->Args({64, 1})
    ->UseManualTime()
    ->Iterations(1);

/// The floor: no table, no counting, no bound; each consumer takes all that is there at once.
void BM_FloorMutexDeque(benchmark::State& state) {
    std::vector<flowd_event> events(64);
    const flowd_event pattern = template_event();
    std::uint32_t next = 0;
    const double cpu_begin = process_cpu_seconds();
    for (auto _ : state) {
        struct Consumer {
            std::mutex mutex;
            std::condition_variable condition;
            std::deque<flowd_event> queue;
            bool stop = false;
            std::thread thread;
        };
        Consumer consumers[2];
        const auto begin = std::chrono::steady_clock::now();
        for (auto& consumer : consumers)
            consumer.thread = std::thread([&consumer] {
                std::deque<flowd_event> taken;
                for (;;) {
                    taken.clear();
                    {
                        std::unique_lock lock(consumer.mutex);
                        consumer.condition.wait(lock, [&] { return !consumer.queue.empty() || consumer.stop; });
                        taken.swap(consumer.queue);
                    }
                    if (taken.empty()) return;
                    for (const auto& event : taken) benchmark::DoNotOptimize(event.kind);
                }
            });
        for (std::uint32_t sent = 0; sent < events_per_run; sent += 64) {
            fill(events, next, pattern);
            for (const auto& event : events)
                for (auto& consumer : consumers) {
                    const std::lock_guard lock(consumer.mutex);
                    consumer.queue.push_back(event);
                    if (consumer.queue.size() == 1) consumer.condition.notify_one();
                }
        }
        for (auto& consumer : consumers) {
            {
                const std::lock_guard lock(consumer.mutex);
                consumer.stop = true;
            }
            consumer.condition.notify_one();
            consumer.thread.join();
        }
        state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    const auto events_sent = static_cast<std::int64_t>(state.iterations()) * events_per_run;
    state.SetItemsProcessed(events_sent);
    // Of all three threads together; unlike the rate it does not suffer from what else the machine does.
    state.counters["cpu_ns_per_event"] = (process_cpu_seconds() - cpu_begin) / static_cast<double>(events_sent) * 1e9;
}
BENCHMARK(BM_FloorMutexDeque)->UseManualTime()->Iterations(1);

}  // namespace
