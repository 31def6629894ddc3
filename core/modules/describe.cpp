// SPDX-License-Identifier: Apache-2.0
#include "core/modules/describe.hpp"

#include <fmt/format.h>

#include "core/config/render.hpp"
#include "core/modules/tools.hpp"
#include "flowd/json.hpp"

namespace flowd::core {

namespace {

const std::string& name_of(const Module& module) {
    return module.state == ModuleState::loaded ? module.declared.name : module.note.name;
}

/// The name of the module; if it is unknown, the name of its file.
std::string shown_name(const Module& module) {
    return name_of(module).empty() ? module.path.stem().string() : name_of(module);
}

std::string abi_of(const Module& module) {
    if (module.state == ModuleState::loaded)
        return fmt::format("{}.{}", module.declared.abi_major, module.declared.abi_minor);
    return module.note.name.empty() ? std::string() : fmt::format("{}.{}", module.note.abi_major, module.note.abi_minor);
}

std::string components_of(const Module& module) {
    std::string text;
    for (const NoteComponent& component : module.note.components)
        fmt::format_to(std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ", kind_name(component.kind),
                       component.name);
    return text;
}

void write_accepted(json::Writer& writer, std::uint32_t accepts) {
    static constexpr std::pair<unsigned, const char*> kinds[] = {{FLOWD_EVENT_START, "start"},
                                                                 {FLOWD_EVENT_ONGOING, "ongoing"},
                                                                 {FLOWD_EVENT_END, "end"},
                                                                 {FLOWD_EVENT_CATCH_ALL, "catch-all"},
                                                                 {FLOWD_EVENT_CATCH_ALL_CLEAR, "catch-all-clear"}};
    writer.key("accepts").array();
    for (const auto& [kind, name] : kinds)
        if ((accepts & (1u << kind)) != 0) writer.value(name);
    writer.end();
}

/// Writes nothing if there are no tools or they are malformed: `flowd-module-check` reports the error.
void write_tools(json::Writer& writer, const flowd_component& table) {
    const auto tools = read_tools(table);
    if (!tools || tools->empty()) return;
    writer.key("tools").array();
    for (const Tool& tool : *tools) {
        writer.object().member("name", tool.name).member("summary", tool.summary);
        writer.key("options").array();
        write_options(writer, tool.options);
        writer.end().end();
    }
    writer.end();
}

void write_component(json::Writer& writer, const Component& component) {
    const flowd_component& table = component.table;
    writer.object();
    writer.member("kind", kind_name(table.kind)).member("name", component.name());
    writer.key("aliases").array();
    for (const std::string_view alias : component.aliases()) writer.value(alias);
    writer.end();
    writer.member("summary", table.summary);
    writer.member("loop", table.loop == FLOWD_LOOP_OWN ? "own" : "hosted");
    if (table.kind == FLOWD_PLUGIN) writer.member("precedence", precedence_name(table.precedence));
    if (table.kind == FLOWD_BACKEND) write_accepted(writer, table.accepts);
    writer.member("reconfigures", table.reconfigure != nullptr);
    writer.key("options").array();
    write_options(writer, component.options);
    writer.end();
    write_tools(writer, table);
    writer.end();
}

void write_note_component(json::Writer& writer, const NoteComponent& component) {
    writer.object();
    writer.member("kind", kind_name(component.kind)).member("name", component.name);
    writer.key("aliases").array();
    for (const std::string& alias : component.aliases) writer.value(alias);
    writer.end().end();
}

}  // namespace

std::string precedence_name(std::uint32_t precedence) {
    switch (precedence) {
        case FLOWD_PRECEDENCE_METER:
            return "meter";
        case FLOWD_PRECEDENCE_RULE:
            return "rule";
        case FLOWD_PRECEDENCE_EXPLICIT:
            return "explicit";
        default:
            return fmt::format("{}", precedence);
    }
}

std::string describe_modules(const ModuleSet& set) {
    std::string text;
    json::Writer writer(text);
    writer.array();
    for (const auto& module : set.modules()) {
        writer.object();
        writer.member("module", shown_name(*module)).member("state", to_string(module->state));
        writer.member("version", module->note.version).member("abi", abi_of(*module));
        writer.member("components", components_of(*module));
        writer.member("reason", module->failure ? std::string_view(module->failure->message) : std::string_view());
        writer.member("path", module->path.native());
        writer.end();
    }
    writer.end();
    return text;
}

std::string describe_module(const Module& module) {
    std::string text;
    json::Writer writer(text);
    writer.object();
    writer.member("module", shown_name(module)).member("path", module.path.native());
    writer.member("state", to_string(module.state));
    if (module.failure) writer.member("reason", module.failure->message).member("hint", module.failure->hint);
    writer.member("version", module.state == ModuleState::loaded ? module.declared.version : module.note.version);
    if (module.state == ModuleState::loaded) writer.member("license", module.declared.license);
    writer.member("abi", abi_of(module));
    writer.key("components").array();
    if (module.state == ModuleState::loaded)
        for (const auto& component : module.declared.components) write_component(writer, *component);
    else
        for (const NoteComponent& component : module.note.components) write_note_component(writer, component);
    writer.end().end();
    return text;
}

}  // namespace flowd::core
