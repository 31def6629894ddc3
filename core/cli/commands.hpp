// SPDX-License-Identifier: Apache-2.0
// The subcommands, one function each. Each prints to `output` and returns the exit code. Main thread.
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
#include "core/service/installation.hpp"

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

/// Converts the configuration of another daemon to one of flowd-cpp and prints it.
[[nodiscard]] ExitCode migrate_file(const GlobalOptions& options, const Output& output, const std::string& file);

struct NewModule {
    std::string name;
    std::string kind;              ///< plugin, backend or enricher
    std::string directory;         ///< empty: the name of the module's file
    std::string language = "c++";  ///< c++ or c
};
/// `commands`: the first words of the command line, which no component may have as its name.
[[nodiscard]] ExitCode make_module(const NewModule& request, Installation& installation,
                                   const std::vector<std::string>& commands, const Output& output);

struct LabelRequest {
    std::string experiment, activity;  ///< of encode
    bool all = false;                  ///< encode: also the 32 labels
    std::vector<std::string> values;   ///< of decode; "-": standard input
    bool is_scitag = false;            ///< the values are scitag integers
};
[[nodiscard]] ExitCode show_label(const LabelRequest& request, const Output& output);
[[nodiscard]] ExitCode decode_labels(const LabelRequest& request, std::istream& in, const Output& output);
[[nodiscard]] ExitCode print_labels(const std::string& tool, const Output& output);

[[nodiscard]] ExitCode list_registry(const Output& output);
[[nodiscard]] ExitCode show_experiment(const Output& output, const std::string& experiment);
struct RegistryUpdate {
    std::string file;
    bool dry_run = false;  ///< print the changes without making them
};
[[nodiscard]] ExitCode update_registry(const GlobalOptions& options, const Output& output, const RegistryUpdate& request);

/// The features of this kernel that components need, and a finding for each that it lacks. The code is `absent` or `denied`
/// if a component cannot run without one.
[[nodiscard]] ExitCode show_features(const GlobalOptions& options, const Output& output);
/// Sends words to the running daemon and prints its reply; `show` renders it as text, unless --json is set.
[[nodiscard]] ExitCode ask_daemon(const GlobalOptions& options, const Output& output, const control::Arguments& words,
                                  const std::function<std::string(std::string_view json)>& show = {});
struct StatusRequest {
    std::string instance;  ///< empty: all instances on one screen
    bool all = false;      ///< all members that the daemon reports
    bool check = false;    ///< for a monitoring system
};
[[nodiscard]] ExitCode show_status(const GlobalOptions& options, const Output& output, const StatusRequest& request);
struct VerifyRequest {
    std::optional<std::uint32_t> seconds, port;
    bool probe = false;
    std::string path;  ///< a host: verify only the path to it
};
/// Prints the findings of the daemon, its instances and this host, and of the components' tools that test actual traffic.
[[nodiscard]] ExitCode verify(const GlobalOptions& options, const Output& output, const VerifyRequest& request);
/// The share of bytes that left with a tag, from the instances that measure it.
[[nodiscard]] ExitCode coverage(const GlobalOptions& options, const Output& output);
/// The tags that the open sockets of this host would get by a configuration.
[[nodiscard]] ExitCode plan(const GlobalOptions& options, const Output& output);
/// --control, else `control.path` of the configuration if it can be read, else the default.
[[nodiscard]] std::string control_path(const GlobalOptions& options);
/// The reply to a command of the program itself. If the daemon does not know it, the reply says that it is of an earlier
/// version.
[[nodiscard]] Result<control::Reply> request_command(const std::string& path, const control::Arguments& words);
/// Runs `flowd-cpp COMPONENT TOOL ...` in this process; empty if no installed component has that tool.
[[nodiscard]] std::optional<ExitCode> run_tool(const GlobalOptions& options, const Output& output,
                                               const control::Arguments& words);
struct OfferedTool {
    std::string component, name, summary;
    std::vector<std::pair<std::string, std::string>> options;  ///< "--to" and its description
};
/// The tools of the installed components of this name (or "name/instance"); of all components if it is empty.
[[nodiscard]] std::vector<OfferedTool> list_tools(const GlobalOptions& options, std::string_view name);

/// Whether the words ask for the tools and commands of a component or an instance ("marker", "marker --help"), or for the
/// help of a command ("marker mode --help").
[[nodiscard]] bool asks_for_help(const control::Arguments& words);
/// Prints that help; empty if the first word is neither a component nor an instance.
[[nodiscard]] std::optional<ExitCode> describe(const GlobalOptions& options, const Output& output,
                                               const control::Arguments& words);
/// Runs a command whose first word is not a subcommand: it is an instance, or a misspelling of one of `known`.
[[nodiscard]] ExitCode forward(const GlobalOptions& options, const Output& output, const control::Arguments& words,
                               const std::vector<std::string>& known);

}  // namespace flowd::core::cli
