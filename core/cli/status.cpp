// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "core/cli/commands.hpp"
#include "core/cli/status_view.hpp"
#include "core/control/client.hpp"

namespace flowd::core::cli {
namespace {

constexpr std::chrono::seconds check_patience{8};  // monitoring systems commonly limit a check to ten seconds

/// The exit codes of Nagios plugins, which differ from those of flowd-cpp.
ExitCode print(const Output& output, const Verdict& verdict) {
    output.out << verdict.text;
    return static_cast<ExitCode>(verdict.level);
}

ExitCode check_status(const GlobalOptions& options, const Output& output) {
    const auto reply = control::request(control_path(options), {"status"}, check_patience);
    if (!reply) return print(output, no_status(reply.error().message));
    if (reply->code != ExitCode::ok) return print(output, no_status("the daemon gives no status"));
    const Verdict verdict = judge_status(reply->json);
    if (!output.json) return print(output, verdict);
    output.answer(reply->json);
    return static_cast<ExitCode>(verdict.level);
}

}  // namespace

ExitCode show_status(const GlobalOptions& options, const Output& output, const StatusRequest& request) {
    if (request.check) return check_status(options, output);
    control::Arguments words{"status"};
    if (!request.instance.empty()) words.push_back(request.instance);
    if (request.all) return ask_daemon(options, output, words);
    if (request.instance.empty()) return ask_daemon(options, output, words, status_screen);
    return ask_daemon(options, output, words, [&](std::string_view json) { return instance_screen(json, output.colours); });
}

}  // namespace flowd::core::cli
