// SPDX-License-Identifier: Apache-2.0
// The exit codes of flowd-cpp: one list for the program, --help and docs/cli.md. Values never change meaning.
#pragma once

#include <array>
#include <string_view>

#include "flowd/abi/base.h"

namespace flowd::core {

enum class ExitCode : int {
    ok = 0,
    failure = 1,        ///< unspecified failure
    usage = 2,          ///< the command line
    configuration = 3,  ///< the configuration file or an option's value
    module = 4,         ///< a module is missing or was refused
    denied = 5,         ///< a privilege is missing
    busy = 6,           ///< a port, path or hook is in use
    absent = 7,         ///< an interface, a file, a host or a feature of the kernel does not exist
    no_daemon = 8,      ///< no daemon answers at the control socket
    abandoned = 9,      ///< an instance did not stop in time and was abandoned
    lost = 10,          ///< the daemon stopped, and its backends had not taken all events
};

struct ExitCodeMeaning {
    ExitCode code;
    std::string_view meaning;
};

inline constexpr std::array<ExitCodeMeaning, 11> exit_code_meanings{{
    {ExitCode::ok, "success"},
    {ExitCode::failure, "unspecified failure"},
    {ExitCode::usage, "the command line is wrong"},
    {ExitCode::configuration, "the configuration is wrong"},
    {ExitCode::module, "a module is missing or was refused"},
    {ExitCode::denied, "a privilege is missing"},
    {ExitCode::busy, "a port, path or hook is in use"},
    {ExitCode::absent, "an interface, a file, a host or a feature of the kernel does not exist"},
    {ExitCode::no_daemon, "no daemon answers at the control socket"},
    {ExitCode::abandoned, "an instance did not stop in time and was abandoned"},
    {ExitCode::lost, "the daemon stopped before its backends had taken all events"},
}};

[[nodiscard]] constexpr int to_int(ExitCode code) {
    return static_cast<int>(code);
}

/// The exit code of a start that failed with `result`. FLOWD_INVALID is a configuration error, because the values come from
/// the administrator's configuration.
[[nodiscard]] constexpr ExitCode exit_code_of(flowd_result result) {
    if (result >= 0) return ExitCode::ok;
    switch (result) {
        case FLOWD_INVALID:
            return ExitCode::configuration;
        case FLOWD_DENIED:
            return ExitCode::denied;
        case FLOWD_BUSY:
            return ExitCode::busy;
        case FLOWD_NOT_FOUND:
        case FLOWD_UNSUPPORTED:
            return ExitCode::absent;
        default:
            return ExitCode::failure;
    }
}

}  // namespace flowd::core
