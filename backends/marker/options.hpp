// SPDX-License-Identifier: Apache-2.0
// backends/marker/options.hpp: what may be configured.
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

/// One line of the operator's map from tags to DSCP values.
struct DscpRule {
    std::uint32_t experiment = 0;
    std::optional<std::uint32_t> activity;  ///< nothing: all that have no line of their own
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
    std::optional<bool> remove_qdisc;  ///< nothing: unless `persist`
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
