// SPDX-License-Identifier: Apache-2.0
// Nanoseconds that the flow meter adds to a packet, by BPF_PROG_TEST_RUN: on one flow again and again (hot),
// above a program that only returns; over many flows in rotation, above one that only makes the frame another flow's, with
// the meter's own table and with a hash of the kernel's. Needs root.
#include <linux/bpf.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "bpf/meter_types.h"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/object.hpp"
#include "meter_bench.skel.h"
#include "plugins/perfsonar/meter_program.hpp"
#include "tests/bench/bpf_programs.hpp"
#include "tests/unit/bpf/packet.hpp"

namespace {

using flowd::bench::Program;
using flowd::bench::Programs;
using flowd::perfsonar::MeterProgram;
using flowd::test::Bytes;
using flowd::test::operator+;

constexpr int hot_runs = 200000;
constexpr std::uint32_t room = 131072;

Bytes segment() {
    return flowd::test::ethernet(0x86dd) + flowd::test::Ip6{}.over(flowd::test::tcp(40000, 5201, 1400));
}

/// More than 64 kB, as older kernels send it: with a jumbo option (RFC 2675).
Bytes big_tcp() {
    return flowd::test::ethernet(0x86dd) + flowd::test::Ip6{.next = 0, .payload_length = 0}.over(
                                               flowd::test::extension(6, 0, flowd::test::tcp(40000, 5201, 1400)));
}

Bytes ping() {
    return flowd::test::ethernet(0x86dd) + flowd::test::Ip6{.next = 58}.over({128, 0, 0, 0, 0, 9, 0, 1});
}

Program empty() {
    const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = -1},
                             {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    auto fd = std::make_shared<flowd::UniqueFd>(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, 2, nullptr));
    return {fd->get(), segment(), hot_runs, 1, false, fd};
}

Programs::Make meter(Bytes frame, std::uint32_t segments = 1) {
    return [frame = std::move(frame), segments]() -> Program {
        auto program = MeterProgram::load(65536, {});
        if (!program) return {};
        auto kept = std::make_shared<MeterProgram>(*std::move(program));
        return {kept->hooks()[METER_OUT].ethernet, frame, hot_runs, 1, false, kept, segments};
    };
}

/// One of the programs of meter_bench.bpf.c over so many flows in turn.
Programs::Make rotation(const char* name, std::uint32_t flows) {
    return [name, flows]() -> Program {
        std::size_t size = 0;
        const auto* const elf = static_cast<const std::uint8_t*>(meter_bench_bpf::elf_bytes(&size));
        auto object = flowd::bpf::Object::open(std::span(elf, size), "meter_bench", {});
        if (!object) return {};
        const std::uint32_t buckets = MeterProgram::buckets_for(room);
        const struct {
            meter_config config;
            std::uint32_t flow_mask;
        } constants{{buckets - 1, room, 1}, flows - 1};
        if (!object->set_max_entries(METER_BUCKETS_MAP, buckets) || !object->set_max_entries(METER_FLOWS_MAP, room) ||
            !object->set_constants(constants) || !object->load({}))
            return {};
        auto limits = object->map<std::uint32_t, meter_state>(METER_STATE_MAP);
        meter_state limit{};
        limit.max_flows = room;
        if (!limits || !limits->update(0, limit)) return {};
        auto kept = std::make_shared<flowd::bpf::Object>(*std::move(object));
        const auto program = kept->program(name);
        return {program ? *program : -1, segment(), static_cast<int>(std::max(flows * 2, 200000u)), 1, false, kept};
    };
}

void add_rotation(Programs& programs, std::uint32_t flows, const std::string& group) {
    programs.add(group, "the frame alone", rotation("bench_rotate", flows));
    programs.add(group, "the meter", rotation("bench_table", flows));
    programs.add(group, "the same with a hash of the kernel's", rotation("bench_hash", flows));
}

}  // namespace

int main(int argc, char** argv) {
    Programs programs;
    programs.add("hot", "empty program", empty);
    programs.add("hot", "one flow", meter(segment()));
    programs.add("hot", "one flow, 64 kB in 45 segments (GSO)", meter(segment(), 45));
    programs.add("hot", "one flow, 512 kB in 364 segments (BIG TCP)", meter(big_tcp(), 364));
    programs.add("hot", "ICMP, counted only", meter(ping()));
    add_rotation(programs, 1, "one flow, the frame written");
    add_rotation(programs, 1024, "1,024 flows in turn");
    add_rotation(programs, 131072, "cold, 131,072 flows in turn");
    return Programs::run(argc, argv);
}
