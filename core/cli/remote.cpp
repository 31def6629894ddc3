// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "core/cli/commands.hpp"
#include "core/config/configuration.hpp"
#include "core/config/nearest.hpp"
#include "core/control/client.hpp"

namespace flowd::core::cli {
namespace {

/// Only the daemon's own keys are of interest here, so no module is looked for.
class NoModules : public ComponentLookup {
  public:
    Result<FoundComponent> find(std::uint32_t, std::string_view, std::string_view) override {
        return Error{FLOWD_NOT_FOUND, "not looked for"};
    }
    std::vector<std::string> names(std::uint32_t) const override { return {}; }
};

/// --control, else `control.path` of the configuration if it can be read, else the default.
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

ExitCode ask_daemon(const GlobalOptions& options, const Output& output, const control::Arguments& words) {
    const auto reply = control::request(control_path(options), words);
    if (!reply) return output.fail(code_of(reply.error()), reply.error().message, reply.error().hint);
    return output.reply(*reply);
}

ExitCode forward(const GlobalOptions& options, const Output& output, const control::Arguments& words,
                 const std::vector<std::string>& known) {
    const bool asks_for_help = words.size() == 1 || words[1] == "help";
    const std::string tools = asks_for_help && !output.json ? list_tools(options, words.front()) : std::string();
    const auto reply = control::request(control_path(options), words);
    if (!tools.empty()) {
        if (reply && reply->code == ExitCode::ok) output.answer(reply->json);
        output.answer(tools);
        return ExitCode::ok;
    }
    const std::string nearest = nearest_word(words.front(), known);
    if (reply) {
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
    return output.fail(
        ExitCode::no_daemon,
        "\"" + words.front() +
            "\" is no command, and no daemon runs that could have an instance of that name: " + reply.error().message,
        "flowd-cpp --help lists the commands");
}

}  // namespace flowd::core::cli
