// SPDX-License-Identifier: Apache-2.0
// Options of the skops enricher: flowd-go's, by name and meaning.
#pragma once

#include <cstdint>
#include <string>

#include "flowd/module.hpp"

namespace flowd::skops {

enum class Strategy : std::uint8_t { poll, transition };

struct SkopsOptions {
    Strategy strategy = Strategy::poll;
    std::string cgroup_path, program_path;
    bool debug_mode = false;
    static const Table<SkopsOptions>& table();
    static void validate(const SkopsOptions& options, Problems& problems);
};

}  // namespace flowd::skops
