// SPDX-License-Identifier: Apache-2.0
#include "core/modules/component_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "core/config/component_lookup.hpp"

namespace flowd::core {

namespace {

// Larger than any later minor needs; a larger value means that the member `size` was not set.
constexpr std::size_t max_struct = 4096;
constexpr std::size_t max_aliases = 32;
constexpr std::uint32_t max_precedence = 255;

/// A zeroed copy of a sized struct: as many bytes as both sides know.
template <typename T>
Result<T> checked_copy(const T* declared, std::string_view type, std::size_t at_least) {
    std::uint32_t size = 0;
    std::memcpy(&size, declared, sizeof size);
    if (size < at_least || size > max_struct)
        return refused(fmt::format("member 'size' of its {} is {}: it has to be sizeof({})", type, size, type));
    T copy{};
    std::memcpy(static_cast<void*>(&copy), declared, std::min<std::size_t>(size, sizeof copy));
    copy.size = sizeof copy;
    return copy;
}

bool is_component_name(std::string_view name) {
    const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
    return !name.empty() && letter(name.front()) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// An alias may be a key that another program defined, therefore upper-case letters, '-' and '_' are allowed.
bool is_alias(std::string_view name) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    };
    return !name.empty() && std::all_of(name.begin(), name.end(), allowed);
}

/// The first missing required member; null if there is none.
const char* missing_member(const flowd_component& c) {
    if (c.summary == nullptr) return "summary";
    if (c.kind == FLOWD_PLUGIN && c.precedence == 0) return "precedence";
    if (c.kind == FLOWD_BACKEND && c.accepts == 0) return "accepts";
    if (c.option_count > 0 && c.options == nullptr) return "options";
    if (c.create == nullptr) return "create";
    if (c.start == nullptr) return "start";
    if (c.loop == FLOWD_LOOP_OWN && c.run == nullptr) return "run";
    if (c.stop == nullptr) return "stop";
    if (c.destroy == nullptr) return "destroy";
    if (c.kind == FLOWD_BACKEND && c.on_events == nullptr) return "on_events";
    if (c.kind == FLOWD_ENRICHER && c.sample == nullptr) return "sample";
    return nullptr;
}

/// The first member that is set but has no effect for this kind of component; null if there is none.
const char* stray_member(const flowd_component& c) {
    if (c.loop == FLOWD_LOOP_HOSTED && c.run != nullptr) return "run";
    if (c.kind != FLOWD_PLUGIN && c.precedence != 0) return "precedence";
    if (c.kind != FLOWD_PLUGIN && c.on_room != nullptr) return "on_room";
    if (c.kind != FLOWD_BACKEND && c.accepts != 0) return "accepts";
    if (c.kind != FLOWD_BACKEND && c.on_events != nullptr) return "on_events";
    if (c.kind != FLOWD_ENRICHER && c.sample != nullptr) return "sample";
    return nullptr;
}

Result<void> check_aliases(const flowd_component& c) {
    if (c.aliases == nullptr) return {};
    for (std::size_t i = 0; c.aliases[i] != nullptr; ++i) {
        if (i >= max_aliases) return refused("member 'aliases' has no NULL at its end");
        if (!is_alias(c.aliases[i])) return refused(fmt::format("alias '{}' is not a name", c.aliases[i]));
    }
    return {};
}

/// Refuses bits unknown to this core: ignoring them would silently change what the author declared.
Result<void> check_bits(const flowd_component& c) {
    constexpr std::uint32_t known_flags = FLOWD_COMPONENT_RECONFIGURE_ALWAYS;
    constexpr std::uint32_t known_events = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING | 1u << FLOWD_EVENT_END |
                                           1u << FLOWD_EVENT_CATCH_ALL | 1u << FLOWD_EVENT_CATCH_ALL_CLEAR;
    if ((c.flags & ~known_flags) != 0)
        return refused(
            fmt::format("member 'flags' has the bits {:#x}, which this core does not know", c.flags & ~known_flags));
    if ((c.flags & FLOWD_COMPONENT_RECONFIGURE_ALWAYS) != 0 && c.reconfigure == nullptr)
        return refused("member 'flags' has FLOWD_COMPONENT_RECONFIGURE_ALWAYS, but member 'reconfigure' is missing");
    if ((c.accepts & ~known_events) != 0)
        return refused(
            fmt::format("member 'accepts' has the bits {:#x}, which are not kinds of events", c.accepts & ~known_events));
    return {};
}

Result<void> check_component(const flowd_component& c, std::uint32_t abi_minor) {
    if (const char* missing = missing_member(c)) return refused(fmt::format("member '{}' is missing", missing));
    if (auto aliases = check_aliases(c); !aliases) return aliases;
    if (c.loop > FLOWD_LOOP_OWN) return refused(fmt::format("member 'loop' is {}, which is not a FLOWD_LOOP_*", c.loop));
    if (auto bits = check_bits(c); !bits) return bits;
    if (c.precedence > max_precedence)
        return refused(fmt::format("member 'precedence' is {}, which is not 1 to {}", c.precedence, max_precedence));
    const char* stray = abi_minor <= FLOWD_ABI_MINOR ? stray_member(c) : nullptr;
    if (stray != nullptr)
        return refused(fmt::format("member '{}' is set, which a {} {} does not have", stray,
                                   c.loop == FLOWD_LOOP_HOSTED ? "hosted" : "own-loop", kind_name(c.kind)));
    return {};
}

/// "plugin 'x': message"
Error within_component(Error error, const flowd_component& c) {
    return std::move(error).within(fmt::format("{} '{}'", kind_name(c.kind), c.name));
}

std::string list_of(const Descriptor& descriptor) {
    std::string text;
    for (const auto& component : descriptor.components)
        fmt::format_to(std::back_inserter(text), "{}{} '{}'", text.empty() ? "" : ", ", kind_name(component->table.kind),
                       component->name());
    return text;
}

std::string list_of(const Note& note) {
    std::string text;
    for (const NoteComponent& component : note.components)
        fmt::format_to(std::back_inserter(text), "{}{} '{}'", text.empty() ? "" : ", ", kind_name(component.kind),
                       component.name);
    return text;
}

Result<void> same(std::string_view what, std::string_view in_note, std::string_view in_descriptor) {
    if (in_note == in_descriptor) return {};
    return refused(fmt::format("its note says {} {}, but flowd_module_v1 says {}", what, in_note, in_descriptor));
}

}  // namespace

Result<std::unique_ptr<Component>> read_component(const flowd_component* declared, std::uint32_t abi_minor) {
    auto copied = checked_copy(declared, "flowd_component", offsetof(flowd_component, summary));
    if (!copied) return std::move(copied).error();
    auto component = std::make_unique<Component>();
    component->table = *copied;
    const flowd_component& c = component->table;
    if (c.kind < FLOWD_PLUGIN || c.kind > FLOWD_ENRICHER)
        return refused(fmt::format("member 'kind' of its flowd_component is {}, which is not a component kind", c.kind));
    if (c.name == nullptr) return refused("member 'name' of its flowd_component is missing");
    if (!is_component_name(c.name))
        return refused(
            fmt::format("'{}' is not a name for a component: lower-case letters and digits, a letter first", c.name));
    if (auto checked = check_component(c, abi_minor); !checked) return within_component(std::move(checked).error(), c);
    auto options = read_options(c.options, c.option_count, c.option_stride);
    if (!options) return within_component(std::move(options).error(), c);
    component->options = std::move(*options);
    return component;
}

Result<Descriptor> read_descriptor(const flowd_module* declared) {
    if (declared == nullptr) return refused("flowd_module_v1 returned null");
    auto copied = checked_copy(declared, "flowd_module", offsetof(flowd_module, name));
    if (!copied) return std::move(copied).error();
    const flowd_module& module = *copied;
    if (module.abi_major != FLOWD_ABI_MAJOR)
        return refused(fmt::format("it exports flowd_module_v{}, but says that it was compiled for ABI {}.{}",
                                   FLOWD_ABI_MAJOR, module.abi_major, module.abi_minor));
    const char* missing = module.name == nullptr         ? "name"
                          : module.version == nullptr    ? "version"
                          : module.license == nullptr    ? "license"
                          : module.components == nullptr ? "components"
                          : module.component_count == 0  ? "component_count"
                                                         : nullptr;
    if (missing != nullptr) return refused(fmt::format("member '{}' of its flowd_module is missing", missing));
    if (module.component_count > max_components)
        return refused(fmt::format("member 'component_count' of its flowd_module is {}: too many", module.component_count));
    if (module.component_stride < offsetof(flowd_component, summary) || module.component_stride > max_struct ||
        module.component_stride % alignof(flowd_component) != 0)
        return refused(
            fmt::format("member 'component_stride' of its flowd_module is {}: it has to be sizeof(flowd_component)",
                        module.component_stride));

    Descriptor descriptor{module.name, module.version, module.license, module.abi_major, module.abi_minor, {}};
    const auto* at = reinterpret_cast<const char*>(module.components);
    for (std::size_t i = 0; i < module.component_count; ++i, at += module.component_stride) {
        const auto* declared_component = reinterpret_cast<const flowd_component*>(at);
        if (module.abi_minor > FLOWD_ABI_MINOR && declared_component->kind > FLOWD_ENRICHER) continue;
        auto component = read_component(declared_component, module.abi_minor);
        if (!component) return std::move(component).error();
        for (const auto& other : descriptor.components)
            if (other->table.kind == (*component)->table.kind && other->answers_to((*component)->name()))
                return refused(
                    fmt::format("{} '{}' is declared twice", kind_name(other->table.kind), (*component)->name()));
        descriptor.components.push_back(std::move(*component));
    }
    return descriptor;
}

Result<void> compare_with_note(const Descriptor& descriptor, const Note& note) {
    if (auto name = same("name", note.name, descriptor.name); !name) return name;
    if (auto version = same("version", note.version, descriptor.version); !version) return version;
    if (auto abi = same("ABI", fmt::format("{}.{}", note.abi_major, note.abi_minor),
                        fmt::format("{}.{}", descriptor.abi_major, descriptor.abi_minor));
        !abi)
        return abi;
    if (auto list = same("that it holds", list_of(note), list_of(descriptor)); !list) return list;
    // From here on both lists have the same length and order.
    for (std::size_t i = 0; i < note.components.size(); ++i) {
        const auto in_note = fmt::format("{}", fmt::join(note.components[i].aliases, ", "));
        const auto declared = fmt::format("{}", fmt::join(descriptor.components[i]->aliases(), ", "));
        if (auto aliases = same(fmt::format("that the aliases of '{}' are", note.components[i].name),
                                in_note.empty() ? "none" : in_note, declared.empty() ? "none" : declared);
            !aliases)
            return aliases;
    }
    return {};
}

}  // namespace flowd::core
