// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp NAME` and `flowd-cpp NAME --help`: the tools of a component, and the commands of its running instances.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <ostream>

#include "core/base/text.hpp"
#include "core/cli/commands.hpp"
#include "core/cli/member_text.hpp"
#include "core/cli/table.hpp"
#include "core/control/client.hpp"
#include "core/service/installation.hpp"
#include "flowd/json.hpp"

namespace flowd::core::cli {
namespace {

namespace dom = simdjson::dom;

bool is_help_flag(const std::string& word) {
    return word == "--help" || word == "-h";
}

/// The commands of an instance; `rows` are valid as long as this object.
struct Commands {
    Commands(const GlobalOptions& options, const std::string& name) {
        reply = control::request(control_path(options), {name, "help"});
        dom::array array;
        if (!reply || reply->code != ExitCode::ok || parser.parse(reply->json).get(array) != simdjson::SUCCESS) return;
        known = true;
        for (const dom::element row : array) rows.push_back(row);
    }

    Result<control::Reply> reply = Error{FLOWD_NOT_FOUND, {}};
    dom::parser parser;
    std::vector<dom::element> rows;
    bool known = false;  ///< the instance exists
};

using Lines = std::vector<std::pair<std::string, std::string>>;

void print(const Output& output, std::string_view heading, const Lines& lines) {
    if (lines.empty()) return;
    std::size_t width = 0;
    for (const auto& line : lines) width = std::max(width, text_width(line.first));
    output.out << '\n' << heading << '\n';
    for (const auto& [word, summary] : lines) output.out << "  " << pad(word, width) << "  " << summary << '\n';
}

void print_json(const Output& output, const Commands& commands, const std::vector<OfferedTool>& tools) {
    std::string text;
    json::Writer writer(text);
    writer.array();
    for (const dom::element& row : commands.rows) writer.raw(simdjson::minify(row));
    for (const OfferedTool& tool : tools) {
        writer.object().member("component", tool.component).member("tool", tool.name).member("summary", tool.summary);
        writer.member("help", "flowd-cpp " + tool.component + " " + tool.name + " --help").end();
    }
    writer.end();
    output.answer(text);
}

void print_command(const Output& output, const std::string& name, const dom::element& row) {
    const std::string arguments = text_of(row, "arguments");
    output.out << text_of(row, "summary") << "\nUsage: flowd-cpp " << name << ' ' << text_of(row, "command")
               << (arguments.empty() ? "" : " " + arguments) << '\n';
    bool changes = false;
    if (row["changes"].get(changes) == simdjson::SUCCESS && changes)
        output.out << "Only root and the daemon's user may run it.\n";
}

}  // namespace

bool asks_for_help(const control::Arguments& words) {
    return words.size() == 1 || words[1] == "help" || is_help_flag(words.back());
}

std::optional<ExitCode> describe(const GlobalOptions& options, const Output& output, const control::Arguments& words) {
    const std::string& name = words.front();
    const Commands commands(options, name);
    if (words.size() > 2 && is_help_flag(words.back())) {
        for (const dom::element& row : commands.rows)
            if (text_of(row, "command") == words[1]) {
                print_command(output, name, row);
                return ExitCode::ok;
            }
        if (!commands.known) return std::nullopt;
        return output.fail(ExitCode::usage, "\"" + name + "\" has no command \"" + words[1] + "\"",
                           "flowd-cpp " + name + " --help lists them");
    }
    Installation installation(install_paths(), options.modules);
    const auto modules = installation.scan_modules().offering(name.substr(0, name.find('/')));
    if (modules.empty() && !commands.known) return std::nullopt;
    const auto tools = list_tools(options, name);
    if (output.json) {
        print_json(output, commands, tools);
        return ExitCode::ok;
    }
    output.out << "Usage: flowd-cpp " << name << " COMMAND\n";
    for (const Module* module : modules)
        output.out << fmt::format("The options of {} are described by: flowd-cpp modules info {}\n", name,
                                  module->note.name);
    Lines lines;
    for (const OfferedTool& tool : tools)
        lines.emplace_back("flowd-cpp " + tool.component + " " + tool.name + " --help", tool.summary);
    print(output, "Tools, which need no daemon:", lines);
    lines.clear();
    for (const dom::element& row : commands.rows) {
        const std::string arguments = text_of(row, "arguments");
        lines.emplace_back(fmt::format("{} {}: {}{}", text_of(row, "kind"), text_of(row, "instance"),
                                       text_of(row, "command"), arguments.empty() ? "" : " " + arguments),
                           text_of(row, "summary"));
    }
    print(output, "Commands of the running daemon:", lines);
    if (!commands.known)
        output.out << "\nNo commands of an instance: "
                   << (commands.reply ? "the running daemon has none of this name"
                                      : printable(commands.reply.error().message))
                   << '\n';
    return ExitCode::ok;
}

}  // namespace flowd::core::cli
