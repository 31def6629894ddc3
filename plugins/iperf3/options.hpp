// SPDX-License-Identifier: Apache-2.0
// Options of the iperf3 plugin: flowd-go's, by name and meaning.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flowd/module.hpp"

namespace flowd::iperf3 {

struct Iperf3Options {
    std::uint16_t min_source_port = 0, max_source_port = 0;
    std::uint16_t min_destination_port = 0, max_destination_port = 0;
    std::string cgroup_path, program_path;
    bool debug_mode = false;
    bool random_ids = false;
    std::vector<std::uint32_t> activities, experiments;
    static const Table<Iperf3Options>& table();
    static void validate(const Iperf3Options& options, Problems& problems);
};

}  // namespace flowd::iperf3
