// SPDX-License-Identifier: Apache-2.0
// The daemon's own settings: what stands beside the sections of the configuration. Values; no thread concerns.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/config/option.hpp"

namespace flowd::core {

struct Globals {
    struct Flows {
        std::uint64_t max_live = 0;
        std::uint64_t max_per_instance = 0;  ///< max_live when not configured
        std::uint64_t max_per_source = 0;    ///< max_live when not configured
        std::chrono::nanoseconds idle_timeout{};
        std::chrono::nanoseconds max_age{};
        std::chrono::nanoseconds tombstone{};
        friend bool operator==(const Flows&, const Flows&) = default;
    };
    struct Queues {
        std::uint64_t events = 0;
        std::uint64_t attachment_bytes = 0;
        std::chrono::nanoseconds stall_after{};
        friend bool operator==(const Queues&, const Queues&) = default;
    };
    struct Control {
        std::string path;
        std::string group;  ///< empty: the daemon's own
        friend bool operator==(const Control&, const Control&) = default;
    };

    std::string pid_path;              ///< empty: none is written
    std::string work_dir;              ///< empty: none
    std::vector<std::string> modules;  ///< directories searched besides the packaged one
    Flows flows;
    Queues queues;
    std::chrono::nanoseconds stop_timeout{};
    Control control;
    std::chrono::nanoseconds enricher_period{};

    friend bool operator==(const Globals&, const Globals&) = default;
};

/// The tables they are read by: of the top level, of `enrichers`, and the core's keys in every instance.
[[nodiscard]] const OptionTable& global_options();
[[nodiscard]] const OptionTable& enricher_section_options();
[[nodiscard]] const OptionTable& instance_options();

/// From the values read by the first two tables.
[[nodiscard]] Globals globals_of(const flowd_value& top, const flowd_value& enrichers);

}  // namespace flowd::core
