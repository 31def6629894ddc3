// SPDX-License-Identifier: Apache-2.0
// Paths into a YAML document: "plugins.fireflyp.fireflyReceivers[0].port". Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/config/node.hpp"

namespace flowd::core {

/// Null if the path does not exist.
[[nodiscard]] const YamlNode* node_at(const YamlNode& root, std::string_view path);
/// The entry at the end of the path; null if the path does not exist.
[[nodiscard]] const YamlNode::Entry* entry_at(const YamlNode& root, std::string_view path);

/// The text with another value at this path. Old and new value must be on one line. Comments are kept.
[[nodiscard]] std::string with_value(std::string text, std::string_view path, std::string_view value);
/// The text without the key at this path and its value.
[[nodiscard]] std::string without_key(std::string text, std::string_view path);

}  // namespace flowd::core
