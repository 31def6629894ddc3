// SPDX-License-Identifier: Apache-2.0
// The command line of flowd-cpp. Main thread only.
#pragma once

#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "core/base/exit_codes.hpp"

namespace flowd::core::cli {

/// The global flags. They are accepted before and after the subcommand.
struct GlobalOptions {
    std::string conf = "/etc/flowd-cpp/conf.yaml";
    std::string log_level = "info";    ///< trace, debug, info, warning or error
    bool log_time = false;             ///< time stamps in log lines; journald adds its own
    std::vector<std::string> modules;  ///< --modules: directories that are searched first
    std::string control;               ///< --control; empty: `control.path` of the configuration, else the default
    bool json = false;
};

/// The environment that main() provides: streams, and the function that runs the daemon (core/service). Borrowed.
struct Environment {
    std::ostream& out;
    std::ostream& err;
    bool out_is_terminal = false;
    std::function<ExitCode(const GlobalOptions&)> run_daemon;
    std::istream& in = std::cin;
    bool asks = false;  ///< whether questions are possible: `in` and `out` are a terminal
};

/// The complete program except the daemon itself. Does not throw.
[[nodiscard]] ExitCode run(int argc, const char* const* argv, const Environment& environment);

}  // namespace flowd::core::cli
