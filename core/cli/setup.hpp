// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp setup`: asks the questions of a profile, writes the configuration and starts the service. Main thread.
#pragma once

#include <iosfwd>
#include <string>

#include "core/cli/app.hpp"
#include "core/cli/output.hpp"
#include "core/setup/profile.hpp"

namespace flowd::core::cli {

struct SetupRequest {
    const Profile* profile = nullptr;  ///< null with `remove` and `list_experiments`
    Profile::Answers answers;          ///< given on the command line
    bool dry_run = false;
    bool no_start = false;
    bool yes = false;
    bool remove = false;
    bool list_experiments = false;
};

/// `terminal`: input of the answers; null: questions without an answer get their defaults.
[[nodiscard]] ExitCode set_up(const GlobalOptions& options, const Output& output, const SetupRequest& request,
                              std::istream* terminal);

}  // namespace flowd::core::cli
