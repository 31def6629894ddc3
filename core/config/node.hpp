// SPDX-License-Identifier: Apache-2.0
// A YAML document with the location of every key and value. Duplicate keys are detected, and scalars are not converted.
// (yaml-cpp's own nodes lose the locations of keys and accept duplicate keys.) Values, not bound to a thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/problem.hpp"

namespace flowd::core {

struct YamlNode {
    enum class Kind { null, scalar, sequence, map };
    struct Entry;

    Kind kind = Kind::null;
    bool quoted = false;  ///< scalar: quoted, a block or explicitly tagged, and therefore text
    std::string text;     ///< scalar
    Location where;
    std::vector<Entry> entries;   ///< map, in the order written
    std::vector<YamlNode> items;  ///< sequence

    [[nodiscard]] const Entry* find(std::string_view key) const;
};

struct YamlNode::Entry {
    std::string key;
    Location where;
    YamlNode value;
};

/// Reads one document; an empty one is a map without entries. Empty if it is not YAML or its root is not a map. Depth and
/// number of nodes are bounded (an alias counts as the nodes it refers to).
[[nodiscard]] std::optional<YamlNode> read_yaml(std::string_view text, const std::string& file, Problems& problems);

/// The same for a single value, such as flowd_option.default_text.
[[nodiscard]] std::optional<YamlNode> read_yaml_value(std::string_view text, const std::string& file, Problems& problems);

/// Merges the content of another file. Maps are merged; any other value that both files contain is a problem unless equal.
void merge(YamlNode& into, YamlNode&& from, const std::string& path, Problems& problems);

/// Equal values with lists in equal order; the order of keys and the locations are ignored.
[[nodiscard]] bool identical(const YamlNode& a, const YamlNode& b);

/// For messages: "a list", "nothing", or the text, truncated.
[[nodiscard]] std::string describe(const YamlNode& node);

}  // namespace flowd::core
