// SPDX-License-Identifier: Apache-2.0
// backends/marker/options.hpp: the options of the marker.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flowd/options.hpp"
#include "flowd/problem.hpp"
#include "lib/bpf/attachments.hpp"

namespace flowd::marker {

enum class Mode { mark, observe };
enum class Policy { override, keep_explicit };
enum class Strategy { label, hop_by_hop, destination, hop_by_hop_destination, dscp, label_dscp };

/// One entry of dscpMap.
struct DscpRule {
    std::uint32_t experiment = 0;
    std::optional<std::uint32_t> activity;  ///< empty: all activities without an entry
    std::uint32_t dscp = 0;

    static const Table<DscpRule>& table();
};

struct Options {
    std::vector<std::string> target_interfaces;
    bool discover_interfaces = false;
    bool wait_for_interfaces = false;
    Strategy strategy = Strategy::label;
    std::vector<DscpRule> dscp_map;
    bool replace_dscp = false;
    bool forwarded = false;
    Mode mode = Mode::mark;
    Policy policy = Policy::override;
    bpf::Attach attach = bpf::Attach::automatic;
    std::optional<bool> remove_qdisc;  ///< empty: true without `persist`
    bool persist = false;
    std::string persist_path;
    std::chrono::seconds persist_idle{300};
    std::uint32_t max_flows = 131072;
    std::string program_path;
    bool match_all = false;
    bool debug_mode = false;

    static const Table<Options>& table();
    static void validate(const Options& options, Problems& problems);
};

}  // namespace flowd::marker
