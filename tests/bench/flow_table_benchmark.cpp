// SPDX-License-Identifier: Apache-2.0
// The flow table at 1 M live flows: time per start and per end, bytes per flow; and a bare std::unordered_map with a
// record of the same size under one mutex as the floor.
#include <benchmark/benchmark.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <random>
#include <unordered_map>
#include <vector>

#include "core/flows/bus.hpp"
#include "tests/bench/flow_event.hpp"

namespace {

using namespace flowd;
using bench::event_of;
using namespace flowd::core;

constexpr std::uint32_t live_flows = 1'000'000;
constexpr std::uint32_t batch = 4096;

std::size_t resident_bytes() {
    long pages = 0;
    long resident = 0;
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "r"), std::fclose);
    if (!file || std::fscanf(file.get(), "%ld %ld", &pages, &resident) != 2) return 0;
    return static_cast<std::size_t>(resident) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// CPU time of this thread: what else runs on the machine must not count.
double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Which flows are live, so that a random one can be ended.
struct Population {
    std::vector<std::uint32_t> numbers;
    std::uint32_t next = 0;
    std::mt19937 random{7};

    std::vector<flowd_event> starts() {
        std::vector<flowd_event> out;
        for (std::uint32_t i = 0; i < batch; ++i) {
            numbers.push_back(next);
            out.push_back(event_of(FLOWD_EVENT_START, next++));
        }
        return out;
    }
    std::vector<flowd_event> ends() {
        std::vector<flowd_event> out;
        for (std::uint32_t i = 0; i < batch; ++i) {
            std::swap(numbers[random() % numbers.size()], numbers.back());
            out.push_back(event_of(FLOWD_EVENT_END, numbers.back()));
            numbers.pop_back();
        }
        return out;
    }
};

struct Table {
    std::int64_t steady = 1;
    Bus bus;
    AnnouncerId id;
    Population population;
    double bytes_per_flow = 0;
    double resident_per_flow = 0;

    static FlowLimits limits() {
        FlowLimits out;
        out.max_live = 2 * live_flows;
        return out;
    }
    Table() : bus(limits(), Clock{[this] { return steady; }, [this] { return steady; }}) {
        id = *bus.add_announcer({"bench"});
        population.numbers.reserve(live_flows + 2 * batch);
        const auto before = resident_bytes();
        while (population.numbers.size() < live_flows) emit(population.starts());
        // The list of numbers is the benchmark's own.
        resident_per_flow = static_cast<double>(resident_bytes() - before) / live_flows - sizeof(std::uint32_t);
        bytes_per_flow = static_cast<double>(bus.counters().table_bytes) / live_flows;
    }
    double emit(const std::vector<flowd_event>& events) {
        const double begin = cpu_seconds();
        benchmark::DoNotOptimize(bus.emit(id, events.data(), events.size(), sizeof(flowd_event), nullptr));
        return cpu_seconds() - begin;
    }
    double bury() {
        steady += 6 * second_ns;
        const double begin = cpu_seconds();
        bus.tick();
        return cpu_seconds() - begin;
    }
};

Table& table() {
    static Table own;
    return own;
}

/// The floor: what a map with the same key and 128 bytes beside it costs, under one lock.
struct BareMap {
    struct Hash {
        std::size_t operator()(const flowd_key& key) const {
            std::uint64_t words[6];
            std::memcpy(words, &key, sizeof key);
            std::uint64_t hash = 0;
            for (const auto word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15ull ^ (hash >> 29);
            return hash;
        }
    };
    struct Equal {
        bool operator()(const flowd_key& a, const flowd_key& b) const { return std::memcmp(&a, &b, sizeof a) == 0; }
    };
    struct Record {
        std::uint64_t words[16];
    };
    std::mutex mutex;
    std::unordered_map<flowd_key, Record, Hash, Equal> map;
    Population population;
    double resident_per_flow = 0;

    BareMap() {
        population.numbers.reserve(live_flows + 2 * batch);
        const auto before = resident_bytes();
        while (population.numbers.size() < live_flows) insert(population.starts());
        resident_per_flow = static_cast<double>(resident_bytes() - before) / live_flows - sizeof(std::uint32_t);
    }
    double insert(const std::vector<flowd_event>& events) {
        const double begin = cpu_seconds();
        for (const auto& event : events) {
            const std::lock_guard lock(mutex);
            map.emplace(event.key, Record{});
        }
        return cpu_seconds() - begin;
    }
    double erase(const std::vector<flowd_event>& events) {
        const double begin = cpu_seconds();
        for (const auto& event : events) {
            const std::lock_guard lock(mutex);
            map.erase(event.key);
        }
        return cpu_seconds() - begin;
    }
};

BareMap& bare_map() {
    static BareMap own;
    return own;
}

void report(benchmark::State& state, double seconds) {
    state.counters["ns_each"] = benchmark::Counter(seconds / static_cast<double>(state.iterations() * batch) * 1e9);
}

void BM_TableStart(benchmark::State& state) {
    auto& own = table();
    double sum = 0;
    for (auto _ : state) {
        const auto events = own.population.starts();
        const double seconds = own.emit(events);
        state.SetIterationTime(seconds);
        sum += seconds;
        own.emit(own.population.ends());
        own.bury();
    }
    report(state, sum);
    state.counters["bytes_per_flow"] = own.bytes_per_flow;
    state.counters["rss_per_flow"] = own.resident_per_flow;
}
BENCHMARK(BM_TableStart)->UseManualTime()->Iterations(50);

/// With the removal of its tombstone.
void BM_TableEnd(benchmark::State& state) {
    auto& own = table();
    double sum = 0;
    for (auto _ : state) {
        own.emit(own.population.starts());
        const auto events = own.population.ends();
        const double seconds = own.emit(events) + own.bury();
        state.SetIterationTime(seconds);
        sum += seconds;
    }
    report(state, sum);
}
BENCHMARK(BM_TableEnd)->UseManualTime()->Iterations(50);

void BM_TableRefresh(benchmark::State& state) {
    auto& own = table();
    double sum = 0;
    for (auto _ : state) {
        std::vector<flowd_event> events;
        for (std::uint32_t i = 0; i < batch; ++i)
            events.push_back(event_of(FLOWD_EVENT_START,
                                      own.population.numbers[own.population.random() % own.population.numbers.size()]));
        const double seconds = own.emit(events);
        state.SetIterationTime(seconds);
        sum += seconds;
    }
    report(state, sum);
}
BENCHMARK(BM_TableRefresh)->UseManualTime()->Iterations(50);

void BM_FloorMapInsert(benchmark::State& state) {
    auto& own = bare_map();
    double sum = 0;
    for (auto _ : state) {
        const auto events = own.population.starts();
        const double seconds = own.insert(events);
        state.SetIterationTime(seconds);
        sum += seconds;
        own.erase(own.population.ends());
    }
    report(state, sum);
    state.counters["rss_per_flow"] = own.resident_per_flow;
}
BENCHMARK(BM_FloorMapInsert)->UseManualTime()->Iterations(50);

void BM_FloorMapErase(benchmark::State& state) {
    auto& own = bare_map();
    double sum = 0;
    for (auto _ : state) {
        own.insert(own.population.starts());
        const auto events = own.population.ends();
        const double seconds = own.erase(events);
        state.SetIterationTime(seconds);
        sum += seconds;
    }
    report(state, sum);
}
BENCHMARK(BM_FloorMapErase)->UseManualTime()->Iterations(50);

}  // namespace
