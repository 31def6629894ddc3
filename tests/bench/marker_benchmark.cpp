// SPDX-License-Identifier: Apache-2.0
// Nanoseconds that the marker adds to a packet, by BPF_PROG_TEST_RUN: the time the kernel reports for many runs over one
// frame. `Empty` is the floor of the same run, a program that only returns: what is above it is the marker's. One frame
// again and again keeps every cache hot. Needs root.
#include <benchmark/benchmark.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cstdint>
#include <optional>

#include "backends/marker/program.hpp"
#include "backends/marker/tag_table.hpp"
#include "flowd/address.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/sized.hpp"
#include "tests/unit/bpf/packet.hpp"

namespace {

using flowd::test::Bytes;
using flowd::test::operator+;
constexpr int runs = 200000;

Bytes segment(std::uint16_t source_port) {
    return flowd::test::ethernet(0x86dd) + flowd::test::Ip6{}.over(flowd::test::tcp(source_port, 1094, 1000));
}

Bytes ipv4() {
    return flowd::test::ethernet(0x0800) + Bytes(1000, 0x45);
}

flowd_key key(std::uint16_t source_port) {
    return flowd::make_key({*flowd::Address::parse("2001:db8::1"), source_port},
                           {*flowd::Address::parse("2001:db8::2"), 1094}, 6);
}

void measure(benchmark::State& state, int program, const Bytes& frame) {
    for (auto _ : state) {
        auto options = flowd::bpf::sized<bpf_test_run_opts>();
        options.data_in = frame.data();
        options.data_size_in = static_cast<std::uint32_t>(frame.size());
        options.repeat = runs;
        if (bpf_prog_test_run_opts(program, &options) != 0) return state.SkipWithError("the program could not be run");
        state.SetIterationTime(options.duration * 1e-9);  // the kernel's mean of one run, whole nanoseconds
    }
}

/// A marker with `flows` flows in its table.
struct Marker {
    explicit Marker(std::uint32_t flows) {
        flowd::marker::Options options;
        auto loaded = flowd::marker::load_program(options, {});
        if (!loaded) return;
        program.emplace(*std::move(loaded));
        table.emplace(*program, flowd::marker::Marks(options), options.max_flows);
        for (std::uint32_t i = 0; i < flows; ++i) {
            flowd_key each = key(static_cast<std::uint16_t>(1024 + i % 60000));
            each.source[8] = static_cast<std::uint8_t>(i / 60000);
            table->put(each, {2, 16});
        }
    }
    std::optional<flowd::marker::Program> program;
    std::optional<flowd::marker::TagTable> table;
};

void run(benchmark::State& state, Marker& marker, const Bytes& frame) {
    if (!marker.program) return state.SkipWithError("needs root: loads BPF programs");
    measure(state, marker.program->ethernet(), frame);
}

void Empty(benchmark::State& state) {
    const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = -1},
                             {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    const flowd::UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, 2, nullptr));
    if (!program) return state.SkipWithError("needs root: loads BPF programs");
    measure(state, program.get(), segment(1024));
}

void FlowAmong(benchmark::State& state) {
    Marker marker(static_cast<std::uint32_t>(state.range(0)));
    run(state, marker, segment(1024));
}

void MissAmong(benchmark::State& state) {
    Marker marker(static_cast<std::uint32_t>(state.range(0)));
    run(state, marker, segment(1023));
}

void CatchAllOnly(benchmark::State& state) {
    Marker marker(0);
    if (marker.table && marker.table->set_catch_all({3, 2})) marker.table->apply_catch_all();
    run(state, marker, segment(1024));
}

void CatchAllAmongFlows(benchmark::State& state) {
    Marker marker(1000);
    if (marker.table && marker.table->set_catch_all({3, 2})) marker.table->apply_catch_all();
    run(state, marker, segment(1023));
}

void Observe(benchmark::State& state) {
    Marker marker(1000);
    if (marker.table) marker.table->set_observe(true);
    run(state, marker, segment(1024));
}

void NothingToMark(benchmark::State& state) {
    Marker marker(0);
    run(state, marker, segment(1024));
}

void PassIpv4(benchmark::State& state) {
    Marker marker(1000);
    run(state, marker, ipv4());
}

}  // namespace

BENCHMARK(Empty)->UseManualTime()->Iterations(5);
BENCHMARK(FlowAmong)->Arg(1)->Arg(1000)->Arg(100000)->UseManualTime()->Iterations(5);
BENCHMARK(MissAmong)->Arg(1000)->Arg(100000)->UseManualTime()->Iterations(5);
BENCHMARK(CatchAllOnly)->UseManualTime()->Iterations(5);
BENCHMARK(CatchAllAmongFlows)->UseManualTime()->Iterations(5);
BENCHMARK(Observe)->UseManualTime()->Iterations(5);
BENCHMARK(NothingToMark)->UseManualTime()->Iterations(5);
BENCHMARK(PassIpv4)->UseManualTime()->Iterations(5);
