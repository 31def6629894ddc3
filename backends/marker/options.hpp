// SPDX-License-Identifier: Apache-2.0
// backends/marker/options.hpp: what may be configured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flowd/options.hpp"
#include "flowd/problem.hpp"
#include "lib/bpf/attachments.hpp"

namespace flowd::marker {

enum class Mode { mark, observe };
enum class Policy { override, keep_explicit };
enum class Strategy { label };

struct Options {
    std::vector<std::string> target_interfaces;
    bool discover_interfaces = false;
    bool wait_for_interfaces = false;
    Strategy strategy = Strategy::label;
    Mode mode = Mode::mark;
    Policy policy = Policy::override;
    bpf::Attach attach = bpf::Attach::automatic;
    bool remove_qdisc = true;
    std::uint32_t max_flows = 131072;
    std::string program_path;
    bool match_all = false;
    bool debug_mode = false;

    static const Table<Options>& table();
    static void validate(const Options& options, Problems& problems);
};

}  // namespace flowd::marker
