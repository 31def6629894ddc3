// SPDX-License-Identifier: Apache-2.0
// The effective configuration, JSON schemas and reference pages, all from the option tables. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/configuration.hpp"

namespace flowd::core {

/// A scalar: double-quoted, unless all YAML parsers read the plain form as the same text.
[[nodiscard]] std::string yaml_text(std::string_view text);

/// The effective configuration, with defaults, as YAML that loads again; secrets are "(secret)", unset options are omitted.
[[nodiscard]] std::string effective_yaml(const Configuration& configuration, const Registry& registry);
/// The same as a JSON object.
void write_effective_json(json::Writer& writer, const Configuration& configuration);

/// The input for a schema or a reference page.
struct ComponentOptions {
    std::uint32_t kind = 0;
    std::string name;
    std::vector<std::string> aliases;
    std::string summary;
    OptionTable options;
};

/// JSON schema (draft 2020-12) of one component's options, and of a whole configuration with these components.
[[nodiscard]] std::string options_schema(const ComponentOptions& component);
[[nodiscard]] std::string configuration_schema(const std::vector<ComponentOptions>& components);

/// Reference page of one component in Markdown.
[[nodiscard]] std::string reference_page(const ComponentOptions& component);

/// Members of a JSON array, one object per row: name, type, default, allowed, unit, flags, doc, fields (`modules info
/// --json`).
void write_options(json::Writer& writer, const OptionTable& options);

}  // namespace flowd::core
