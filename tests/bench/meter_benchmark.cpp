// SPDX-License-Identifier: Apache-2.0
// Nanoseconds that the flow meter adds to a packet, by BPF_PROG_TEST_RUN: the time the kernel reports for many runs. The
// floors are of the same run: `Empty`, a program that only returns, for the meter on one flow again and again (hot);
// `Rotate`, which only rewrites the frame, for the meter over many flows in rotation (cold), with its own table and with a
// hash of the kernel's. Needs root.
#include <benchmark/benchmark.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "bpf/meter_types.h"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/object.hpp"
#include "lib/bpf/sized.hpp"
#include "meter_bench.skel.h"
#include "plugins/perfsonar/meter_program.hpp"
#include "tests/unit/bpf/packet.hpp"

namespace {

using flowd::perfsonar::MeterProgram;
using flowd::test::Bytes;
using flowd::test::operator+;
constexpr int hot_runs = 200000;
constexpr std::uint32_t room = 131072;

Bytes segment() {
    return flowd::test::ethernet(0x86dd) + flowd::test::Ip6{}.over(flowd::test::tcp(40000, 5201, 1400));
}

bool run(int program, const Bytes& frame, int repeat, std::uint32_t& duration) {
    auto options = flowd::bpf::sized<bpf_test_run_opts>();
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    options.repeat = repeat;
    if (bpf_prog_test_run_opts(program, &options) != 0) return false;
    duration = options.duration;
    return true;
}

void measure(benchmark::State& state, int program, const Bytes& frame, int repeat) {
    std::uint32_t duration = 0;
    run(program, frame, repeat, duration);  // enters the flows
    for (auto _ : state) {
        if (!run(program, frame, repeat, duration)) return state.SkipWithError("the program could not be run");
        state.SetIterationTime(duration * 1e-9);  // the kernel's mean of one run, whole nanoseconds
    }
}

void Empty(benchmark::State& state) {
    const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = -1},
                             {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    const flowd::UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, 2, nullptr));
    if (!program) return state.SkipWithError("needs root: loads BPF programs");
    measure(state, program.get(), segment(), hot_runs);
}

void Hot(benchmark::State& state) {
    auto program = MeterProgram::load(65536, {});
    if (!program) return state.SkipWithError("needs root: loads BPF programs");
    measure(state, program->hooks()[METER_OUT].ethernet, segment(), hot_runs);
}

void Icmp(benchmark::State& state) {
    auto program = MeterProgram::load(65536, {});
    if (!program) return state.SkipWithError("needs root: loads BPF programs");
    const Bytes ping = flowd::test::ethernet(0x86dd) + flowd::test::Ip6{.next = 58}.over({128, 0, 0, 0, 0, 9, 0, 1});
    measure(state, program->hooks()[METER_OUT].ethernet, ping, hot_runs);
}

/// One of the programs of meter_bench.bpf.c over so many flows in turn.
void rotate(benchmark::State& state, const char* name) {
    const auto flows = static_cast<std::uint32_t>(state.range(0));
    std::size_t size = 0;
    const auto* const elf = static_cast<const std::uint8_t*>(meter_bench_bpf::elf_bytes(&size));
    auto object = flowd::bpf::Object::open(std::span(elf, size), "meter_bench", {});
    if (!object) return state.SkipWithError("no object");
    const std::uint32_t buckets = MeterProgram::buckets_for(room);
    const struct {
        meter_config config;
        std::uint32_t flow_mask;
    } constants{{buckets - 1, 0}, flows - 1};
    if (!object->set_max_entries(METER_BUCKETS_MAP, buckets) ||
        !object->set_max_entries(METER_FLOWS_MAP, buckets * METER_BUCKET_SLOTS) || !object->set_constants(constants) ||
        !object->load())
        return state.SkipWithError("needs root: loads BPF programs");
    auto limits = object->map<std::uint32_t, meter_state>(METER_STATE_MAP);
    meter_state limit{};
    limit.max_flows = room;
    if (!limits || !limits->update(0, limit)) return state.SkipWithError("no state");
    const auto program = object->program(name);
    if (!program) return state.SkipWithError("no program");
    measure(state, *program, segment(), static_cast<int>(std::max(flows * 2, 200000u)));
}

void Rotate(benchmark::State& state) {
    rotate(state, "bench_rotate");
}
void Table(benchmark::State& state) {
    rotate(state, "bench_table");
}
void KernelHash(benchmark::State& state) {
    rotate(state, "bench_hash");
}

}  // namespace

BENCHMARK(Empty)->UseManualTime()->Iterations(5);
BENCHMARK(Hot)->UseManualTime()->Iterations(5);
BENCHMARK(Icmp)->UseManualTime()->Iterations(5);
BENCHMARK(Rotate)->Arg(1)->Arg(131072)->UseManualTime()->Iterations(5);
BENCHMARK(Table)->Arg(1)->Arg(1024)->Arg(131072)->UseManualTime()->Iterations(5);
BENCHMARK(KernelHash)->Arg(1)->Arg(1024)->Arg(131072)->UseManualTime()->Iterations(5);
