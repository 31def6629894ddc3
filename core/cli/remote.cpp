// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "core/cli/commands.hpp"
#include "core/cli/status_view.hpp"
#include "core/config/configuration.hpp"
#include "core/control/client.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core::cli {
namespace {

/// Only the daemon's own keys are needed, so no module is loaded.
class NoModules : public ComponentLookup {
  public:
    Result<FoundComponent> find(std::uint32_t, std::string_view, std::string_view) override {
        return Error{FLOWD_NOT_FOUND, "modules are not searched for"};
    }
    std::vector<std::string> names(std::uint32_t) const override { return {}; }
};

ExitCode code_of(const Error& error) {
    switch (error.code) {
        case FLOWD_DENIED:
            return ExitCode::denied;
        case FLOWD_INVALID:
            return ExitCode::usage;
        default:
            return ExitCode::no_daemon;
    }
}

}  // namespace

std::string control_path(const GlobalOptions& options) {
    if (!options.control.empty()) return options.control;
    std::string path = control::default_path;
    NoModules nothing;
    const Registry registry;
    const Catalog catalog;
    const LoadContext context{catalog, registry, [&](const Globals& globals) -> ComponentLookup& {
                                  if (!globals.control.path.empty()) path = globals.control.path;
                                  return nothing;
                              }};
    (void)load_configuration(options.conf, context);
    return path;
}

Result<control::Reply> request_command(const std::string& path, const control::Arguments& words) {
    auto reply = control::request(path, words);
    // A daemon takes a command that it does not have for the name of an instance.
    const std::string& command = words.front();
    const std::string refusal =
        control::Reply::failure({}, "\"" + command + "\" is neither a command nor an instance").json;
    if (!reply || reply->code != ExitCode::usage || !reply->json.starts_with(refusal.substr(0, refusal.size() - 1)))
        return reply;
    return control::Reply::failure(
        ExitCode::failure,
        "the running daemon does not know the command \"" + command + "\": it is of an earlier version than this program",
        "restart it: systemctl restart flowd-cpp");
}

ExitCode ask_daemon(const GlobalOptions& options, const Output& output, const control::Arguments& words,
                    const std::function<std::string(std::string_view)>& show) {
    const auto reply = request_command(control_path(options), words);
    if (!reply) return output.fail(code_of(reply.error()), reply.error().message, reply.error().hint);
    if (reply->code != ExitCode::ok || output.json || !show) return output.reply(*reply);
    output.out << show(reply->json);
    return ExitCode::ok;
}

ExitCode forward(const GlobalOptions& options, const Output& output, const control::Arguments& words,
                 const std::vector<std::string>& known) {
    if (asks_for_help(words))
        if (const auto described = describe(options, output, words)) return *described;
    const auto reply = control::request(control_path(options), words);
    std::string nearest = nearest_word(words.front(), known);
    if (nearest == words.front()) nearest.clear();  // a backend has the name of a command
    if (reply) {
        if (reply->code == ExitCode::ok && !output.json && words.size() == 2 && words[1] == "status") {
            output.out << instance_screen(reply->json, output.colours);
            return ExitCode::ok;
        }
        const ExitCode code = output.reply(*reply);
        if (code == ExitCode::usage && words.size() == 1 && !nearest.empty() && !output.json) {
            output.err << "  did you mean \"" << nearest << "\"?\n";
        }
        return code;
    }
    if (reply.error().code != FLOWD_NOT_FOUND) {
        return output.fail(code_of(reply.error()), reply.error().message, reply.error().hint);
    }
    if (!nearest.empty()) {
        return output.fail(ExitCode::usage, "there is no command \"" + words.front() + "\"",
                           "did you mean \"" + nearest + "\"?");
    }
    return output.fail(ExitCode::no_daemon,
                       "\"" + words.front() +
                           "\" is not a command, and no daemon that could have an instance of that name is running: " +
                           reply.error().message,
                       "flowd-cpp --help lists the commands");
}

}  // namespace flowd::core::cli
