// SPDX-License-Identifier: Apache-2.0
// plugins/perfsonar/meter_program.hpp: the flow meter's loaded BPF programs and maps. For one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "bpf/meter_types.h"
#include "flowd/result.hpp"
#include "lib/bpf/attachments.hpp"
#include "lib/bpf/map.hpp"
#include "lib/bpf/mapped_array.hpp"
#include "lib/bpf/object.hpp"
#include "lib/bpf/ring.hpp"

namespace flowd::perfsonar {

/// Packets and bytes by outcome, then by METER_OUT and METER_IN.
using OutcomeCounts = std::array<std::array<meter_count, 2>, METER_OUTCOMES>;

/// What the programs require of the kernel (lib/kernel/features.hpp).
inline constexpr std::array<std::string_view, 3> kernel_needs{"kernel", "BPF", "BTF"};
/// Without it, they do not recognise short-lived flows of this process.
inline constexpr std::string_view kernel_memory = "kernel-memory";

class MeterProgram {
  public:
    /// A table for `max_flows`, which is also the limit until `state` sets another.
    [[nodiscard]] static Result<MeterProgram> load(std::uint32_t max_flows, bpf::LogSink log);

    /// The programs for both directions; borrowed, and valid while this is not moved.
    [[nodiscard]] std::vector<bpf::HookPrograms> hooks();
    [[nodiscard]] const bpf::Map<std::uint32_t, meter_flow>& flows() const { return flows_; }
    [[nodiscard]] bpf::Map<std::uint32_t, meter_flow>& flows() { return flows_; }
    [[nodiscard]] const bpf::MappedArray<meter_bucket>& buckets() const { return buckets_; }
    [[nodiscard]] meter_state& state() const { return state_[0]; }
    [[nodiscard]] Result<bpf::Ring> events(bpf::Ring::Callback callback) const {
        return bpf::Ring::open(events_, std::move(callback));
    }
    /// All packets so far, by outcome.
    [[nodiscard]] Result<OutcomeCounts> counts() const;

    [[nodiscard]] static std::vector<std::string> program_names();
    /// At most a quarter of all slots is used: then hardly any flow finds both of its buckets full.
    [[nodiscard]] static std::uint32_t buckets_for(std::uint32_t max_flows);
    /// Indices of flows that were freed and zeroed: the next ones to be used.
    [[nodiscard]] bpf::Stack<std::uint32_t>& free_numbers() { return free_; }
    /// The number of flows for which the table was made.
    [[nodiscard]] std::uint32_t room() const { return room_; }

  private:
    MeterProgram(bpf::Object object, int out, int in, bpf::Map<std::uint32_t, meter_flow> flows,
                 bpf::MappedArray<meter_bucket> buckets, bpf::MappedArray<meter_state> state,
                 bpf::Map<std::uint32_t, meter_count> counts, bpf::Stack<std::uint32_t> free, int events,
                 std::uint32_t room);
    bpf::Object object_;
    int out_;
    int in_;
    bpf::Map<std::uint32_t, meter_flow> flows_;
    bpf::MappedArray<meter_bucket> buckets_;
    bpf::MappedArray<meter_state> state_;
    bpf::Map<std::uint32_t, meter_count> counts_;
    bpf::Stack<std::uint32_t> free_;
    int events_;
    std::uint32_t room_;
};

/// "metered"
[[nodiscard]] const char* outcome_name(std::uint32_t outcome);

}  // namespace flowd::perfsonar
