// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp coverage`: collects the answers of instances that have a command "coverage". It knows no module.
#include <simdjson.h>

#include <cstdio>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/cli/commands.hpp"
#include "core/cli/render.hpp"
#include "core/control/client.hpp"
#include "flowd/json.hpp"

namespace flowd::core::cli {
namespace {

namespace dom = simdjson::dom;

/// The words that address each instance with such a command.
std::vector<std::string> instances_in(const std::string& commands) {
    std::vector<std::string> names;
    dom::parser parser;
    dom::array all;
    if (parser.parse(commands).get(all) != simdjson::SUCCESS) return names;
    for (const dom::element one : all) {
        std::string_view command, kind, instance;
        if (one["command"].get(command) == simdjson::SUCCESS && command == "coverage" &&
            one["kind"].get(kind) == simdjson::SUCCESS && one["instance"].get(instance) == simdjson::SUCCESS)
            names.push_back(std::string(kind) + ":" + std::string(instance));
    }
    return names;
}

std::uint64_t number_in(const dom::element& root, std::string_view name) {
    std::uint64_t number = 0;
    return root[name].get(number) == simdjson::SUCCESS ? number : 0;
}

std::string percent(double ratio) {
    char text[32];
    // Rounded down: 100 % means that nothing left without a tag.
    std::snprintf(text, sizeof text, "%.2f %%", static_cast<double>(static_cast<long>(ratio * 10000)) / 100);
    return text;
}

/// The shares of a JSON value as percentages, for the screen.
void rewrite(json::Writer& w, const dom::element& value) {
    dom::object object;
    dom::array array;
    if (value.get(object) == simdjson::SUCCESS) {
        w.object();
        for (const auto& [name, member] : object) {
            double ratio = 0;
            w.key(name);
            if ((name == "coverage" || name == "share") && member.get(ratio) == simdjson::SUCCESS)
                w.value(percent(ratio));
            else
                rewrite(w, member);
        }
        w.end();
    } else if (value.get(array) == simdjson::SUCCESS) {
        w.array();
        for (const dom::element one : array) rewrite(w, one);
        w.end();
    } else {
        w.raw(simdjson::minify(value));
    }
}

std::string screen(const std::string& json, bool colours) {
    dom::parser parser;
    dom::element root;
    if (parser.parse(json).get(root) != simdjson::SUCCESS) return render(json, {colours});
    std::string text;
    json::Writer w(text);
    rewrite(w, root);
    return render(text, {colours});
}

}  // namespace

ExitCode coverage(const GlobalOptions& options, const Output& output) {
    const std::string control = control_path(options);
    const auto commands = control::request(control, {"commands"});
    if (!commands)
        return output.fail(commands.error().code == FLOWD_DENIED ? ExitCode::denied : ExitCode::no_daemon,
                           commands.error().message, commands.error().hint);
    if (commands->code != ExitCode::ok) return output.reply(*commands);
    std::uint64_t tagged = 0, total = 0;
    std::string answers;
    json::Writer list(answers);
    const auto names = instances_in(commands->json);
    for (const std::string& name : names) {
        const auto reply = control::request(control, {name, "coverage"});
        if (!reply) return output.fail(ExitCode::no_daemon, reply.error().message, reply.error().hint);
        if (reply->code != ExitCode::ok) return output.reply(*reply);
        dom::parser parser;
        dom::element root;
        if (parser.parse(reply->json).get(root) != simdjson::SUCCESS || !root.is_object())
            return output.fail(ExitCode::failure, name + " gave an answer that is not an object");
        tagged += number_in(root, "taggedBytes");
        total += number_in(root, "totalBytes");
        list.object().member("instance", name).key("answer").raw(reply->json);
        list.end();
    }
    if (names.empty())
        return output.fail(ExitCode::failure, "no instance of the running daemon measures coverage",
                           "configure the backend that marks packets: backends: {marker: {}}; daemons of older releases "
                           "do not measure it");
    std::string text;
    json::Writer w(text);
    const double ratio = total == 0 ? 1.0 : static_cast<double>(tagged) / static_cast<double>(total);
    w.object().member("coverage", ratio).member("taggedBytes", tagged).member("totalBytes", total);
    w.key("instances").raw("[" + answers + "]").end();
    if (output.json)
        output.answer(text);
    else
        output.out << screen(text, output.colours);
    return ExitCode::ok;
}

}  // namespace flowd::core::cli
