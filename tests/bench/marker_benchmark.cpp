// SPDX-License-Identifier: Apache-2.0
// Nanoseconds that the marker adds to a packet, by BPF_PROG_TEST_RUN. `Empty` is the floor of the same run, a program that
// only returns: what is above it is the marker's. Needs root.
//
// Hot: the kernel's mean of many runs over one frame, which keeps every cache warm.
// Cold: one run for each of many flows in turn, each through the same system call, so what is above `EmptyInRotation` is
// the marker's; among so many flows the table is no longer in the caches. Between two system calls the caches lose more
// than that, so the tables are compared by programs that look many flows up in one run: ColdKernelHash in the kernel's hash
// map, ColdBuckets in the marker's table, the same keys in the same order, drawn by ColdFloor without a look-up.
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
#include "tests/bench/look_up.hpp"
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

int empty_program() {
    const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = -1},
                             {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, 2, nullptr);
}

void Empty(benchmark::State& state) {
    const flowd::UniqueFd program(empty_program());
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

// --- cold ---

constexpr int rotation = 4096;

flowd_key nth_key(std::uint32_t i) {
    flowd_key each = key(static_cast<std::uint16_t>(1024 + i % 60000));
    each.source[7] = static_cast<std::uint8_t>(i / 60000);
    return each;
}

Bytes nth_frame(std::uint32_t i) {
    Bytes frame = segment(static_cast<std::uint16_t>(1024 + i % 60000));
    frame[14 + 8 + 7] = static_cast<std::uint8_t>(i / 60000);
    return frame;
}

/// One packet of each of so many flows in turn, each by a system call of its own.
void rotate(benchmark::State& state, int program, std::uint32_t flows) {
    std::uint32_t next = 0;
    for (auto _ : state) {
        std::uint64_t total = 0;
        for (int i = 0; i < rotation; ++i) {
            next = (next + 7919) % flows;  // a prime, so that every flow comes once before one comes again
            const Bytes frame = nth_frame(next);
            auto options = flowd::bpf::sized<bpf_test_run_opts>();
            options.data_in = frame.data();
            options.data_size_in = static_cast<std::uint32_t>(frame.size());
            options.repeat = 1;
            if (bpf_prog_test_run_opts(program, &options) != 0) return state.SkipWithError("the program could not be run");
            total += options.duration;
        }
        state.SetIterationTime(static_cast<double>(total) * 1e-9 / rotation);
    }
}

void EmptyInRotation(benchmark::State& state) {
    const flowd::UniqueFd program(empty_program());
    if (!program) return state.SkipWithError("needs root: loads BPF programs");
    rotate(state, program.get(), static_cast<std::uint32_t>(state.range(0)));
}

void FlowInRotation(benchmark::State& state) {
    const auto flows = static_cast<std::uint32_t>(state.range(0));
    flowd::marker::Options options;
    options.max_flows = flows;
    auto program = flowd::marker::load_program(options, {});
    if (!program) return state.SkipWithError("needs root: loads BPF programs");
    flowd::marker::TagTable table(*program, flowd::marker::Marks(options), flows);
    for (std::uint32_t i = 0; i < flows; ++i) table.put(nth_key(i), {2, 16});
    rotate(state, program->ethernet(), flows);
}

/// The programs of look_up.bpf.c: many look-ups in one run, of keys that it draws itself.
void look_up(benchmark::State& state, const char* name) {
    const auto flows = static_cast<std::uint32_t>(state.range(0));
    LookUp look(flows);
    if (!look.is_loaded()) return state.SkipWithError("needs root: loads BPF programs");
    const Bytes frame = segment(1024);
    for (auto _ : state) {
        auto options = flowd::bpf::sized<bpf_test_run_opts>();
        options.data_in = frame.data();
        options.data_size_in = static_cast<std::uint32_t>(frame.size());
        options.repeat = 200;
        if (bpf_prog_test_run_opts(look.program(name), &options) != 0) return state.SkipWithError("it could not be run");
        if (options.retval != 0) return state.SkipWithError("a flow was not found");
        state.SetIterationTime(options.duration * 1e-9 / LOOK_UPS);
    }
}

void ColdFloor(benchmark::State& state) {
    look_up(state, "draw");
}
void ColdKernelHash(benchmark::State& state) {
    look_up(state, "kernel_hash");
}
void ColdBuckets(benchmark::State& state) {
    look_up(state, "buckets");
}

}  // namespace

BENCHMARK(Empty)->UseManualTime()->Iterations(9);
BENCHMARK(FlowAmong)->Arg(1)->Arg(1000)->Arg(100000)->UseManualTime()->Iterations(9);
BENCHMARK(MissAmong)->Arg(1000)->Arg(100000)->UseManualTime()->Iterations(9);
BENCHMARK(CatchAllOnly)->UseManualTime()->Iterations(9);
BENCHMARK(CatchAllAmongFlows)->UseManualTime()->Iterations(9);
BENCHMARK(Observe)->UseManualTime()->Iterations(9);
BENCHMARK(NothingToMark)->UseManualTime()->Iterations(9);
BENCHMARK(PassIpv4)->UseManualTime()->Iterations(9);
BENCHMARK(EmptyInRotation)->Arg(131072)->UseManualTime()->Iterations(9);
BENCHMARK(FlowInRotation)->Arg(131072)->Arg(1000000)->UseManualTime()->Iterations(9);
BENCHMARK(ColdFloor)->Arg(131072)->Arg(1000000)->UseManualTime()->Iterations(9);
BENCHMARK(ColdKernelHash)->Arg(131072)->Arg(1000000)->UseManualTime()->Iterations(9);
BENCHMARK(ColdBuckets)->Arg(131072)->Arg(1000000)->UseManualTime()->Iterations(9);
