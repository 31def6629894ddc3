// SPDX-License-Identifier: Apache-2.0
// What a sampling period costs, next to `ss -tinO` on the same sockets in the same run. CPU time, not wall time: the kernel
// works for the caller in all of them. MiB: for an enricher what its instance adds to the process at most, for ss all that
// it has. Every sample is compared with the socket it should be of. Needs root for skops; run it in a network namespace of
// its own. FLOWD_LONG=1 adds 100,000 connections.
#include <benchmark/benchmark.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "flowd/testing.hpp"
#include "plugins/netlink/enricher.hpp"
#include "plugins/skops/skops.hpp"
#include "tests/unit/diag/many_connections.hpp"

namespace flowd {
namespace {

using diag::Judge;
using diag::ManyConnections;

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

double thread_cpu() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// VmRSS or VmHWM of a process, in MiB.
double memory_of(const std::string& process, const std::string& what) {
    std::ifstream status("/proc/" + process + "/status");
    for (std::string word; status >> word;) {
        double kib = 0;
        if (word == what + ":" && status >> kib) return kib / 1024;
    }
    return 0;
}

/// From now on VmHWM of this process is the most since then, and what was freed before is the system's again.
void forget_peak() {
    ::malloc_trim(0);
    std::ofstream("/proc/self/clear_refs") << "5";
}

template <typename E>
void period(benchmark::State& state) {
    const ManyConnections& connections = ManyConnections::of(static_cast<std::size_t>(state.range(0)));
    forget_peak();
    const double before_it = memory_of("self", "VmRSS");
    testing::FakeHost host;
    testing::Instance enricher(host, component<E>());
    if (enricher.bring_up() != FLOWD_OK) {
        state.SkipWithError(host.problems().front().message.c_str());
        return;
    }
    Judge judge{&connections};
    const flowd_samples sink = judge.sink();
    const auto& flows = connections.flows();
    for (auto _ : state) {
        const double before = thread_cpu();
        component<E>().sample(enricher.raw(), flows.data(), flows.size(), sizeof(flowd_flow), 1, &sink);
        state.SetIterationTime(thread_cpu() - before);
    }
    state.counters["wrong"] = static_cast<double>(judge.wrong);
    state.counters["sampled"] =
        static_cast<double>(judge.samples) / static_cast<double>(state.iterations()) / static_cast<double>(flows.size());
    state.counters["MiB"] = memory_of("self", "VmHWM") - before_it;
    if (judge.wrong > 0) state.SkipWithError("samples of other connections");
}

void netlink_period(benchmark::State& state) {
    period<netlink::NetlinkEnricher>(state);
}
void skops_period(benchmark::State& state) {
    period<skops::Skops>(state);
}

/// What the kernel's part of a period of the netlink enricher is: the same dump, whose messages are not read.
void dump_received(benchmark::State& state) {
    ManyConnections::of(static_cast<std::size_t>(state.range(0)));
    auto socket = nl::Socket::open(NETLINK_SOCK_DIAG).value();
    inet_diag_req_v2 request{};
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_ext = diag::extension_bit(INET_DIAG_INFO) | diag::extension_bit(INET_DIAG_CONG);
    request.idiag_states = diag::connected_states();
    for (auto _ : state) {
        const double before = thread_cpu();
        for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
            request.sdiag_family = family;
            if (!socket.dump(SOCK_DIAG_BY_FAMILY, request, [](const nl::Message&) {}, {})) state.SkipWithError("no dump");
        }
        state.SetIterationTime(thread_cpu() - before);
    }
}

/// The floor: what an administrator would run by hand.
pid_t run_ss(bool traced) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    if (traced) ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    if (std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(126);
    ::execlp("ss", "ss", "-tinO", static_cast<char*>(nullptr));
    ::_exit(127);
}

/// In a run of its own, stopped where it ends. (The rusage of a child begins with what its parent had.)
double memory_of_ss() {
    const pid_t child = run_ss(true);
    double most = 0;
    int status = 0;
    while (::waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8)))
            most = memory_of(std::to_string(child), "VmHWM");
        else
            ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACEEXIT);
        ::ptrace(PTRACE_CONT, child, nullptr, nullptr);
    }
    return most;
}

void ss_tinO(benchmark::State& state) {
    ManyConnections::of(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        const pid_t child = run_ss(false);
        int status = 0;
        rusage usage{};
        ::wait4(child, &status, 0, &usage);
        if (status != 0) state.SkipWithError("ss failed");
        state.SetIterationTime(seconds(usage.ru_utime) + seconds(usage.ru_stime));
    }
    state.counters["MiB"] = memory_of_ss();
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
        with("dump_received", flowd::dump_received);
        with("ss_tinO", flowd::ss_tinO);
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
