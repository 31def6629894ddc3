// SPDX-License-Identifier: Apache-2.0
// Renders the status of the daemon (core/service/status_json.hpp) for `flowd-cpp status`. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace flowd::core::cli {

/// One screen of 80 columns: the daemon, a line for each instance, the findings with their remedies.
[[nodiscard]] std::string status_screen(std::string_view json);

/// An array of findings, ordered by severity, with their remedies; empty: none.
[[nodiscard]] std::string findings_text(std::string_view json);

/// One instance in full: without members that are zero, false or empty, and without metrics that the module's status has
/// as well.
[[nodiscard]] std::string instance_screen(std::string_view json, bool colours);

/// The result for monitoring systems.
struct Verdict {
    enum class Level { ok = 0, warning = 1, critical = 2 };
    Level level = Level::ok;
    std::string text;  ///< Nagios plugin output: one line with performance data, then a line for each problem
};
[[nodiscard]] Verdict judge_status(std::string_view json);
/// The result if the daemon did not reply.
[[nodiscard]] Verdict no_status(std::string_view why);

}  // namespace flowd::core::cli
