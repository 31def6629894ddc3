// SPDX-License-Identifier: Apache-2.0
// The subcommands, one function each. Each prints by `output` and returns the exit code. Main thread.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/paths.hpp"
#include "core/cli/app.hpp"
#include "core/cli/output.hpp"
#include "core/config/configuration.hpp"
#include "core/host/findings.hpp"

namespace flowd::core::cli {

/// `host`: also the findings of each instance on this host (flowd.findings/1).
[[nodiscard]] ExitCode check(const GlobalOptions& options, const Output& output, bool host);
/// The findings of each instance on this host, without a daemon. An instance without findings has no entry.
[[nodiscard]] FindingsBoard::All look_at_host(const Configuration& configuration, const Registry& registry,
                                              const Output& output);
[[nodiscard]] ExitCode show_configuration(const GlobalOptions& options, const Output& output);

/// `load`: load each module instead of only reading its note, to show whether it is refused.
[[nodiscard]] ExitCode list_modules(const GlobalOptions& options, const Output& output, bool load);
[[nodiscard]] ExitCode show_module(const GlobalOptions& options, const Output& output, const std::string& name);

/// Prints the configuration of another daemon as one of this.
[[nodiscard]] ExitCode migrate_file(const GlobalOptions& options, const Output& output, const std::string& file);

struct NewModule {
    std::string name;
    std::string kind;       ///< plugin, backend or enricher
    std::string directory;  ///< empty: the name of the module's file
};
[[nodiscard]] ExitCode make_module(const NewModule& request, const InstallPaths& paths, const Output& output);

struct LabelRequest {
    std::string experiment, activity;  ///< of encode
    bool all = false;                  ///< encode: also the 32 labels
    std::vector<std::string> values;   ///< of decode; "-": standard input
    bool is_scitag = false;            ///< they are scitag integers
};
[[nodiscard]] ExitCode show_label(const LabelRequest& request, const Output& output);
[[nodiscard]] ExitCode decode_labels(const LabelRequest& request, std::istream& in, const Output& output);
[[nodiscard]] ExitCode print_labels(const std::string& tool, const Output& output);

[[nodiscard]] ExitCode list_registry(const Output& output);
[[nodiscard]] ExitCode show_experiment(const Output& output, const std::string& experiment);
struct RegistryUpdate {
    std::string file;
    bool dry_run = false;  ///< only show what would change
};
[[nodiscard]] ExitCode update_registry(const GlobalOptions& options, const Output& output, const RegistryUpdate& request);

/// Sends words to the running daemon and prints what it answers; `show` makes text of it where people read.
[[nodiscard]] ExitCode ask_daemon(const GlobalOptions& options, const Output& output, const control::Arguments& words,
                                  const std::function<std::string(std::string_view json)>& show = {});
struct StatusRequest {
    std::string instance;  ///< empty: all on one screen
    bool all = false;      ///< everything that the daemon tells
    bool check = false;    ///< for a monitoring system
};
[[nodiscard]] ExitCode show_status(const GlobalOptions& options, const Output& output, const StatusRequest& request);
struct VerifyRequest {
    std::optional<std::uint32_t> seconds, port;
    bool probe = false;
    std::string path;  ///< a host: the path to it is verified, and nothing else
};
/// What the daemon, its instances and this host find, and what components find when they look at what really happens.
[[nodiscard]] ExitCode verify(const GlobalOptions& options, const Output& output, const VerifyRequest& request);
/// --control, else `control.path` of the configuration if it can be read, else the default.
[[nodiscard]] std::string control_path(const GlobalOptions& options);
/// `flowd-cpp COMPONENT TOOL ...` here, in this process; nothing when no installed component has that tool.
[[nodiscard]] std::optional<ExitCode> run_tool(const GlobalOptions& options, const Output& output,
                                               const control::Arguments& words);
struct OfferedTool {
    std::string component, name, summary;
    std::vector<std::pair<std::string, std::string>> options;  ///< "--to" and what it is for
};
/// The tools of the installed components of this name (or "name/instance"); of all components when it is empty.
[[nodiscard]] std::vector<OfferedTool> list_tools(const GlobalOptions& options, std::string_view name);

/// Words that ask what a component or an instance can do ("marker", "marker --help"), or what a command of it does
/// ("marker mode --help").
[[nodiscard]] bool asks_for_help(const control::Arguments& words);
/// Answers them; nothing when the first word names neither.
[[nodiscard]] std::optional<ExitCode> describe(const GlobalOptions& options, const Output& output,
                                               const control::Arguments& words);
/// A command whose first word is not a subcommand: an instance, or a typing error for one of `known`.
[[nodiscard]] ExitCode forward(const GlobalOptions& options, const Output& output, const control::Arguments& words,
                               const std::vector<std::string>& known);

}  // namespace flowd::core::cli
