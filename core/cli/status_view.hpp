// SPDX-License-Identifier: Apache-2.0
// What `flowd-cpp status` shows of the daemon's answer (core/service/status_json.hpp). Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace flowd::core::cli {

/// One screen of 80 columns: the daemon, a line for each instance, the findings with what to do about them.
[[nodiscard]] std::string status_screen(std::string_view json);

/// The findings of an array of them, the worst first, with what to do about each; empty: none.
[[nodiscard]] std::string findings_text(std::string_view json);

/// One instance in full: without members that are zero, false or empty, and without the metrics where the module tells the
/// same in its own words.
[[nodiscard]] std::string instance_screen(std::string_view json, bool colours);

/// For monitoring systems.
struct Verdict {
    enum class Level { ok = 0, warning = 1, critical = 2 };
    Level level = Level::ok;
    std::string text;  ///< the plugin output of Nagios: one line with performance data, then a line for each problem
};
[[nodiscard]] Verdict judge_status(std::string_view json);
/// When no daemon could be asked.
[[nodiscard]] Verdict no_status(std::string_view why);

}  // namespace flowd::core::cli
