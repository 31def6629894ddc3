// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/meter_program.hpp"

#include <span>
#include <utility>

#include "lib/kernel/features.hpp"
#include "lib/kernel/types.hpp"
#include "meter.skel.h"

namespace flowd::perfsonar {
namespace {

/// 0: the programs cannot tell which process sends.
Result<std::uint32_t> find_leader(const bpf::LogSink& log) {
    const kernel::Features features;
    if (const auto types = features.lacking("BTF")) return types->error();
    if (features.lacking(kernel_memory)) return 0u;
    auto offset = kernel::member_offset("task_struct", "group_leader");
    if (offset) return offset;
    if (log) log(FLOWD_LEVEL_WARNING, offset.error().message + ": short-lived flows of this process are metered, too");
    return 0u;
}

}  // namespace

std::uint32_t MeterProgram::buckets_for(std::uint32_t max_flows) {
    std::uint32_t buckets = 2;
    while (buckets * METER_BUCKET_SLOTS / 4 < max_flows) buckets *= 2;
    return buckets;
}

std::vector<std::string> MeterProgram::program_names() {
    return {METER_OUT_PROGRAM, METER_IN_PROGRAM, METER_OUT_RAW_IP_PROGRAM, METER_IN_RAW_IP_PROGRAM};
}

MeterProgram::MeterProgram(bpf::Object object, int out, int in, bpf::Map<std::uint32_t, meter_flow> flows,
                           bpf::MappedArray<meter_bucket> buckets, bpf::MappedArray<meter_state> state,
                           bpf::Map<std::uint32_t, meter_count> counts, bpf::Stack<std::uint32_t> free, int events,
                           std::uint32_t room)
    : object_(std::move(object)),
      out_(out),
      in_(in),
      flows_(std::move(flows)),
      buckets_(std::move(buckets)),
      state_(std::move(state)),
      counts_(std::move(counts)),
      free_(free),
      events_(events),
      room_(room) {}

Result<MeterProgram> MeterProgram::load(std::uint32_t max_flows, bpf::LogSink log) {
    std::size_t size = 0;
    const auto* const elf = static_cast<const std::uint8_t*>(meter_bpf::elf_bytes(&size));
    const auto leader = find_leader(log);
    if (!leader) return leader.error();
    auto object = bpf::Object::open(std::span(elf, size), "meter", std::move(log));
    if (!object) return std::move(object).error();
    const std::uint32_t bucket_count = buckets_for(max_flows);
    if (auto done = object->set_max_entries(METER_BUCKETS_MAP, bucket_count); !done) return std::move(done).error();
    if (auto done = object->set_max_entries(METER_FLOWS_MAP, max_flows); !done) return std::move(done).error();
    if (auto done = object->set_max_entries(METER_FREE_MAP, max_flows); !done) return std::move(done).error();
    if (auto done = object->set_constants(meter_config{bucket_count - 1, max_flows, *leader}); !done)
        return std::move(done).error();
    for (const char* const raw_ip : {METER_OUT_RAW_IP_PROGRAM, METER_IN_RAW_IP_PROGRAM})
        if (auto done = object->defer(raw_ip); !done) return std::move(done).error();
    if (auto done = object->load(kernel_needs); !done) return std::move(done).error();

    auto out = object->program(METER_OUT_PROGRAM);
    if (!out) return std::move(out).error();
    auto in = object->program(METER_IN_PROGRAM);
    if (!in) return std::move(in).error();
    auto flows = object->map<std::uint32_t, meter_flow>(METER_FLOWS_MAP);
    if (!flows) return std::move(flows).error();
    auto bucket_map = object->map<std::uint32_t, meter_bucket>(METER_BUCKETS_MAP);
    if (!bucket_map) return std::move(bucket_map).error();
    auto buckets = bpf::MappedArray<meter_bucket>::map(bucket_map->fd(), bucket_count);
    if (!buckets) return std::move(buckets).error();
    auto state_map = object->map<std::uint32_t, meter_state>(METER_STATE_MAP);
    if (!state_map) return std::move(state_map).error();
    auto state = bpf::MappedArray<meter_state>::map(state_map->fd(), 1);
    if (!state) return std::move(state).error();
    auto counts = object->map<std::uint32_t, meter_count>(METER_COUNTS_MAP);
    if (!counts) return std::move(counts).error();
    auto free = object->stack<std::uint32_t>(METER_FREE_MAP);
    if (!free) return std::move(free).error();
    auto events = object->ring(METER_EVENTS_MAP);
    if (!events) return std::move(events).error();
    (*state)[0].max_flows = max_flows;
    auto self = object->program(METER_SELF_PROGRAM);
    if (!self) return std::move(self).error();
    if (auto done = bpf::run_once(*self); !done) return std::move(done).error();
    return MeterProgram(*std::move(object), *out, *in, *std::move(flows), *std::move(buckets), *std::move(state),
                        *std::move(counts), *free, *events, max_flows);
}

std::vector<bpf::HookPrograms> MeterProgram::hooks() {
    return {{bpf::Direction::egress, out_, [this] { return object_.program(METER_OUT_RAW_IP_PROGRAM); }},
            {bpf::Direction::ingress, in_, [this] { return object_.program(METER_IN_RAW_IP_PROGRAM); }}};
}

Result<OutcomeCounts> MeterProgram::counts() const {
    OutcomeCounts counts{};
    for (std::uint32_t index = 0; index < METER_OUTCOMES * 2; ++index) {
        auto values = counts_.per_cpu(index);
        if (!values) return std::move(values).error();
        meter_count& sum = counts[index / 2][index % 2];
        for (const meter_count& value : *values) {
            sum.packets += value.packets;
            sum.bytes += value.bytes;
        }
    }
    return counts;
}

const char* outcome_name(std::uint32_t outcome) {
    switch (outcome) {
#define METER_OUTCOME_NAME(name, text) \
    case METER_##name:                 \
        return text;
        METER_OUTCOMES_LIST(METER_OUTCOME_NAME)
#undef METER_OUTCOME_NAME
        default:
            return "unknown";
    }
}

}  // namespace flowd::perfsonar
