// SPDX-License-Identifier: Apache-2.0
// The daemon's own settings: the keys outside the sections of instances. Values, not bound to a thread.
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
        std::uint64_t max_per_instance = 0;  ///< max_live if not configured
        std::uint64_t max_per_source = 0;    ///< max_live if not configured
        std::chrono::nanoseconds idle_timeout{};
        std::chrono::nanoseconds max_age{};
        std::chrono::nanoseconds tombstone{};
        std::uint64_t history = 0;  ///< ended flows that are kept
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
        std::string group;  ///< empty: that of the daemon
        friend bool operator==(const Control&, const Control&) = default;
    };

    std::string pid_path;              ///< empty: no PID file
    std::string work_dir;              ///< empty: none
    std::vector<std::string> modules;  ///< directories to search in addition to the packaged one
    Flows flows;
    Queues queues;
    std::chrono::nanoseconds stop_timeout{};
    Control control;
    std::chrono::nanoseconds enricher_period{};

    friend bool operator==(const Globals&, const Globals&) = default;
};

/// The tables that parse them: of the top level, of `enrichers`, and of the core's keys in every instance.
[[nodiscard]] const OptionTable& global_options();
[[nodiscard]] const OptionTable& enricher_section_options();
[[nodiscard]] const OptionTable& instance_options();

/// Converts the values that the first two tables parsed.
[[nodiscard]] Globals globals_of(const flowd_value& top, const flowd_value& enrichers);

}  // namespace flowd::core
