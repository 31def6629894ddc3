// SPDX-License-Identifier: Apache-2.0
// The subcommands, one function each. Each prints by `output` and returns the exit code. Main thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/paths.hpp"
#include "core/cli/app.hpp"
#include "core/cli/output.hpp"

namespace flowd::core::cli {

/// `host`: also what each instance would find amiss on this host (flowd.findings/1).
[[nodiscard]] ExitCode check(const GlobalOptions& options, const Output& output, bool host);
[[nodiscard]] ExitCode show_configuration(const GlobalOptions& options, const Output& output);

/// `load`: load each module instead of only reading its note, so that a refusal shows.
[[nodiscard]] ExitCode list_modules(const GlobalOptions& options, const Output& output, bool load);
[[nodiscard]] ExitCode show_module(const GlobalOptions& options, const Output& output, const std::string& name);

struct NewModule {
    std::string name;
    std::string kind;       ///< plugin, backend or enricher
    std::string directory;  ///< empty: one called like the module's file
};
[[nodiscard]] ExitCode make_module(const NewModule& request, const InstallPaths& paths, const Output& output);

/// Sends words to the running daemon and prints what it answers.
[[nodiscard]] ExitCode ask_daemon(const GlobalOptions& options, const Output& output, const control::Arguments& words);
/// `flowd-cpp COMPONENT TOOL ...` here, in this process; nothing when no installed component has that tool.
[[nodiscard]] std::optional<ExitCode> run_tool(const GlobalOptions& options, const Output& output,
                                               const control::Arguments& words);
/// The tools of a component as JSON; empty when it has none.
[[nodiscard]] std::string list_tools(const GlobalOptions& options, const std::string& name);

/// Words for the daemon whose first is none of ours: an instance, or a slip of the finger for one of `known`.
[[nodiscard]] ExitCode forward(const GlobalOptions& options, const Output& output, const control::Arguments& words,
                               const std::vector<std::string>& known);

}  // namespace flowd::core::cli
