// SPDX-License-Identifier: Apache-2.0
// backends/marker/program.hpp: the marker's BPF programs and maps, loaded. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "bpf/lib/flow_hash.h"
#include "bpf/marker_types.h"
#include "flowd/result.hpp"
#include "lib/bpf/map.hpp"
#include "lib/bpf/object.hpp"

namespace flowd::marker {

using FlowMap = bpf::Map<flow_key, marker_flow>;
using SettingsMap = bpf::Map<std::uint32_t, marker_settings>;
using Outcomes = std::array<std::uint64_t, MARKER_OUTCOMES>;

class Program {
  public:
    /// `path` empty: the built-in object.
    [[nodiscard]] static Result<Program> load(const std::string& path, const marker_config& config, std::uint32_t max_flows,
                                              bpf::LogSink log);

    [[nodiscard]] int ethernet() const { return ethernet_; }  ///< for devices with an Ethernet header; borrowed
    [[nodiscard]] int raw_ip() const {
        return raw_ip_;
    }  ///< for devices whose packets begin with their IP header; borrowed
    [[nodiscard]] FlowMap& flows() { return flows_; }
    [[nodiscard]] SettingsMap& settings() { return settings_; }
    /// What became of all packets so far, by enum marker_outcome.
    [[nodiscard]] Result<Outcomes> outcomes() const;

  private:
    Program(bpf::Object object, int ethernet, int raw_ip, FlowMap flows, SettingsMap settings,
            bpf::Map<std::uint32_t, std::uint64_t> outcomes);
    bpf::Object object_;
    int ethernet_;
    int raw_ip_;
    FlowMap flows_;
    SettingsMap settings_;
    bpf::Map<std::uint32_t, std::uint64_t> outcomes_;
};

/// "markedFlow"
[[nodiscard]] const char* outcome_name(std::uint32_t outcome);

}  // namespace flowd::marker
