// SPDX-License-Identifier: Apache-2.0
#include "core/modules/tools.hpp"

#include <algorithm>

#include "core/base/text.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t max_tools = 100;
/// global_options are accepted everywhere on the command line, so they would never reach a tool.
constexpr std::size_t max_tool_name = 64;
constexpr const char* global_options[] = {"conf", "control", "help", "json", "log-level", "log-time", "modules", "version"};

bool fits_a_command_line(const Option& option) {
    const Option& item = option.type == FLOWD_OPTION_LIST ? option.fields.front() : option;
    return item.type != FLOWD_OPTION_GROUP && item.type != FLOWD_OPTION_LIST && item.type != FLOWD_OPTION_MAP;
}

Error fault(std::string message) {
    return Error{FLOWD_INVALID, std::move(message), "this is a defect of the module"};
}

Result<Tool> read_tool(const flowd_tool& declared) {
    if (declared.name == nullptr) return fault("a tool has no name");
    const std::string context = "tool '" + std::string(declared.name) + "'";
    if (!is_identifier(declared.name, max_tool_name, "-"))
        return fault(context + ": its name is not one word of lower-case letters");
    if (declared.summary == nullptr) return fault(context + ": member 'summary' is missing");
    if (declared.run == nullptr) return fault(context + ": member 'run' is missing");
    auto options = read_options(declared.options, declared.option_count, declared.option_stride, false);
    if (!options) return std::move(options).error().within(context);
    for (const Option& option : *options) {
        for (const char* taken : global_options)
            if (option.is_called(taken))
                return fault(context + ": option '" + option.name + "' has a name that flowd-cpp takes for itself");
        if (!fits_a_command_line(option))
            return fault(context + ": option '" + option.name + "' is a " + type_name(option) +
                         ", which cannot be written on a command line");
    }
    return Tool{declared.name, declared.summary, std::move(*options), declared.run};
}

}  // namespace

Result<std::vector<Tool>> read_tools(const flowd_component& component) {
    std::vector<Tool> tools;
    const void* offered = nullptr;
    try {
        if (component.offline != nullptr) offered = component.offline(FLOWD_EXT_TOOL);
    } catch (...) {
        return fault("offline threw an exception");
    }
    if (offered == nullptr) return tools;
    const auto table = copy_sized<flowd_ext_tool>(offered);
    if (table.tool_count > max_tools ||
        (table.tool_count > 0 && (table.tools == nullptr || table.tool_stride < sizeof(std::uint32_t))))
        return fault("its table of tools is not one");
    for (const flowd_tool& declared : SizedRange<flowd_tool>(table.tools, table.tool_count, table.tool_stride)) {
        auto tool = read_tool(declared);
        if (!tool) return std::move(tool).error();
        if (std::any_of(tools.begin(), tools.end(), [&](const Tool& other) { return other.name == tool->name; }))
            return fault("tool '" + tool->name + "' is declared twice");
        tools.push_back(std::move(*tool));
    }
    return tools;
}

}  // namespace flowd::core
