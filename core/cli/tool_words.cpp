// SPDX-License-Identifier: Apache-2.0
#include "core/cli/tool_words.hpp"

#include <algorithm>
#include <optional>

namespace flowd::core::cli {
namespace {

/// The option that receives words without an option name.
constexpr std::string_view input_option = "input";

const Option* find(const OptionTable& table, std::string_view name) {
    const auto found = std::find_if(table.begin(), table.end(), [&](const Option& one) { return one.is_written_as(name); });
    return found == table.end() ? nullptr : &*found;
}

YamlNode scalar(std::string text, const Location& where) {
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.text = std::move(text);
    node.where = where;
    return node;
}

/// Adds an option. A repeated list option is extended; any other repeated option is written twice: the binder refuses it.
void write(YamlNode& map, const Option* option, std::string name, YamlNode value) {
    if (option == nullptr || option->type != FLOWD_OPTION_LIST) {
        map.entries.push_back({std::move(name), value.where, value});
        return;
    }
    auto entry = std::find_if(map.entries.begin(), map.entries.end(), [&](const auto& one) { return one.key == name; });
    if (entry == map.entries.end()) {
        YamlNode list;
        list.kind = YamlNode::Kind::sequence;
        list.where = value.where;
        entry = map.entries.insert(map.entries.end(), {std::move(name), value.where, std::move(list)});
    }
    entry->value.items.push_back(std::move(value));
}

void add_problem(Problems& problems, const Location& where, std::string message, const std::string& found,
                 const std::string& command) {
    Problem problem;
    problem.where = where;
    problem.message = std::move(message);
    problem.found = found;
    problem.hint = command + " --help lists the options";
    problems.add(std::move(problem));
}

}  // namespace

bool bind_tool_words(const Tool& tool, const std::string& command, const std::vector<std::string>& words,
                     const Registry& registry, const Binder::Trust& trust, ValueTree& values, Problems& problems) {
    const Location where{command, 0, 0};
    YamlNode map;
    map.kind = YamlNode::Kind::map;
    map.where = where;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const bool is_input = words[i].rfind('-', 0) != 0;
        if (const Option* input = find(tool.options, input_option); is_input && input != nullptr) {
            write(map, input, std::string(input_option), scalar(words[i], where));
            continue;
        }
        if (words[i].rfind("--", 0) != 0 || words[i].size() == 2) {
            add_problem(problems, where, "an option was expected: --NAME VALUE", words[i], command);
            return false;
        }
        const std::size_t equals = words[i].find('=');
        std::string name = words[i].substr(2, equals == std::string::npos ? equals : equals - 2);
        const Option* option = find(tool.options, name);
        std::optional<std::string> text;
        if (equals != std::string::npos)
            text = words[i].substr(equals + 1);
        else if (option != nullptr && option->type == FLOWD_OPTION_BOOLEAN)
            text = "true";
        else if (i + 1 < words.size() && words[i + 1].rfind("--", 0) != 0)
            text = words[++i];
        else if (option != nullptr) {
            add_problem(problems, where, "--" + name + " requires a value", words[i], command);
            return false;
        }
        write(map, option, std::move(name), scalar(text.value_or(""), where));
    }
    Binder binder(values, problems, registry, trust);
    return binder.bind_table(tool.options, &map, where, "", values.root());
}

std::string tool_help(const Tool& tool, const std::string& command) {
    const bool has_input = find(tool.options, input_option) != nullptr;
    std::string text = tool.summary + "\nUsage: " + command + (has_input ? " INPUT" : "") + " [OPTIONS]\n";
    if (tool.options.empty()) return text;
    text += "\nOptions:\n";
    for (const Option& option : tool.options) {
        const bool is_list = option.type == FLOWD_OPTION_LIST;
        text += "  --" + option.name;
        if (option.type != FLOWD_OPTION_BOOLEAN) text += " VALUE";
        text += "\n      " + option.doc;
        if (option.type != FLOWD_OPTION_BOOLEAN)
            text += " Allowed: " + allowed_text(is_list ? option.fields.front() : option) +
                    (is_list ? ", several times." : ".");
        if (option.required()) text += " Required.";
        if (option.default_text) text += " Default: " + *option.default_text + ".";
        text += '\n';
    }
    return text;
}

}  // namespace flowd::core::cli
