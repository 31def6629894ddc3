// SPDX-License-Identifier: Apache-2.0
// What a sampling period costs, next to `ss -tinO` on the same sockets in the same run. CPU time, not wall time: the kernel
// works for the caller in all of them. Every sample is compared with the socket it should be of. Needs root for skops; run
// it in a network namespace of its own. FLOWD_LONG=1 adds 100,000 connections.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "flowd/testing.hpp"
#include "plugins/netlink/enricher.hpp"
#include "plugins/skops/skops.hpp"
#include "tests/unit/diag/connections.hpp"

namespace flowd {
namespace {

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

double thread_cpu() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// So many live connections on loopback. Grows, never shrinks: the benchmarks run from few to many. Held by children,
/// because one process may not open so many.
class Connections {
  public:
    static Connections& of(std::size_t count) {
        static Connections connections;
        connections.grow(count);
        return connections;
    }
    [[nodiscard]] const std::vector<flowd_flow>& flows() const { return flows_; }
    [[nodiscard]] std::uint64_t cookie(std::uint64_t flow_id) const { return made_[flow_id - 1].cookie; }

  private:
    static constexpr std::size_t most = 100'000;
    static constexpr std::size_t per_child = 8'000;

    struct Made {
        flowd_key key;
        std::uint64_t cookie;
    };

    Connections()
        : made_(static_cast<Made*>(
              ::mmap(nullptr, most * sizeof(Made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}

    void grow(std::size_t count) {
        while (flows_.size() < count) {
            const std::size_t first = flows_.size();
            const std::size_t last = std::min(first + per_child, count);
            spawn(first, last);
            for (std::size_t i = first; i < last; ++i) {
                flowd_flow flow{};
                flow.size = sizeof flow;
                flow.flow_id = i + 1;
                flow.key = made_[i].key;
                flows_.push_back(flow);
            }
        }
    }
    void spawn(std::size_t first, std::size_t last) {
        int done[2];
        diag::must(::pipe(done), "pipe");
        const pid_t child = diag::must(::fork(), "fork");
        if (child == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            rlimit files{};
            ::getrlimit(RLIMIT_NOFILE, &files);
            files.rlim_cur = files.rlim_max;
            ::setrlimit(RLIMIT_NOFILE, &files);
            // A tuple has some 28,000 local ports: each child has an address of its own.
            const std::string address = "127.0.1." + std::to_string(1 + children_);
            const diag::Listener listener(address.c_str());
            std::vector<std::unique_ptr<diag::Pair>> pairs;
            for (std::size_t i = first; i < last; ++i) {
                auto& pair = pairs.emplace_back(std::make_unique<diag::Pair>(listener, address.c_str()));
                pair->send(1 + i % 1000);
                made_[i] = {pair->key(), diag::cookie_of(pair->client.get())};
            }
            if (::write(done[1], "", 1) != 1) ::_exit(1);
            for (;;) ::pause();
        }
        ++children_;
        ::close(done[1]);
        char byte = 0;
        if (::read(done[0], &byte, 1) != 1) throw std::runtime_error("a child could not make its connections");
        ::close(done[0]);
    }

    Made* made_;
    std::size_t children_ = 0;
    std::vector<flowd_flow> flows_;
};

/// Samples are counted and compared, not kept: what the core does with them is not measured here.
struct Judge {
    const Connections* connections = nullptr;
    std::uint64_t samples = 0, wrong = 0;

    static flowd_result add(const flowd_samples* samples, const flowd_sample* sample) {
        Judge& self = *static_cast<Judge*>(samples->context);
        ++self.samples;
        const bool right = sample->cookie == self.connections->cookie(sample->flow_id) &&
                           sample->usage.bytes_sent == 1 + (sample->flow_id - 1) % 1000;
        if (!right) ++self.wrong;
        return FLOWD_OK;
    }
};

template <typename E>
void period(benchmark::State& state) {
    const Connections& connections = Connections::of(static_cast<std::size_t>(state.range(0)));
    testing::FakeHost host;
    testing::Instance enricher(host, component<E>());
    if (enricher.bring_up() != FLOWD_OK) {
        state.SkipWithError(host.problems().front().message.c_str());
        return;
    }
    Judge judge{&connections};
    flowd_samples sink{};
    sink.size = sizeof sink;
    sink.context = &judge;
    sink.add = &Judge::add;
    const auto& flows = connections.flows();
    for (auto _ : state) {
        const double before = thread_cpu();
        component<E>().sample(enricher.raw(), flows.data(), flows.size(), sizeof(flowd_flow), 1, &sink);
        state.SetIterationTime(thread_cpu() - before);
    }
    state.counters["wrong"] = static_cast<double>(judge.wrong);
    state.counters["sampled"] =
        static_cast<double>(judge.samples) / static_cast<double>(state.iterations()) / static_cast<double>(flows.size());
    if (judge.wrong > 0) state.SkipWithError("samples of other connections");
}

void netlink_period(benchmark::State& state) {
    period<netlink::NetlinkEnricher>(state);
}
void skops_period(benchmark::State& state) {
    period<skops::Skops>(state);
}

/// The floor: what an administrator would run by hand.
void ss_tinO(benchmark::State& state) {
    Connections::of(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        const pid_t child = ::fork();
        if (child == 0) {
            if (std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(126);
            ::execlp("ss", "ss", "-tinO", static_cast<char*>(nullptr));
            ::_exit(127);
        }
        int status = 0;
        rusage usage{};
        ::wait4(child, &status, 0, &usage);
        if (status != 0) state.SkipWithError("ss failed");
        state.SetIterationTime(seconds(usage.ru_utime) + seconds(usage.ru_stime));
    }
}

void sizes(benchmark::internal::Benchmark* benchmark) {
    benchmark->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(5)->Repetitions(5)->ReportAggregatesOnly();
}

}  // namespace
}  // namespace flowd

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    for (const int connections : {1'000, 10'000, 100'000}) {
        if (connections == 100'000 && std::getenv("FLOWD_LONG") == nullptr) continue;
        const auto with = [&](const char* name, void (*run)(benchmark::State&)) {
            flowd::sizes(benchmark::RegisterBenchmark(name, run)->Arg(connections));
        };
        with("netlink", flowd::netlink_period);
        with("skops", flowd::skops_period);
        with("ss_tinO", flowd::ss_tinO);
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
