// SPDX-License-Identifier: Apache-2.0
// A YAML document as this project needs it: every key and value with its place, duplicates noticed, no types guessed.
// (yaml-cpp's own nodes lose key marks and take duplicate keys silently.) Values; no thread concerns.
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
    bool quoted = false;  ///< scalar: written in quotes, as a block or with a tag, hence text
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

/// Reads one document; an empty one is a map without entries. Nothing if it is not YAML or its root is not a map. Bounded
/// in depth and in nodes (aliases count as what they stand for).
[[nodiscard]] std::optional<YamlNode> read_yaml(std::string_view text, const std::string& file, Problems& problems);

/// The same for one value on its own, as in flowd_option.default_text.
[[nodiscard]] std::optional<YamlNode> read_yaml_value(std::string_view text, const std::string& file, Problems& problems);

/// Adds the content of another file. Maps are merged; anything else that both give is a problem unless it is identical.
void merge(YamlNode& into, YamlNode&& from, const std::string& path, Problems& problems);

/// The same values in the same order of lists; the order of keys and the places do not count.
[[nodiscard]] bool identical(const YamlNode& a, const YamlNode& b);

/// For messages: "a list", "nothing", or the text, truncated.
[[nodiscard]] std::string describe(const YamlNode& node);

}  // namespace flowd::core
