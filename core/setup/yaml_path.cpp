// SPDX-License-Identifier: Apache-2.0
#include "core/setup/yaml_path.hpp"

#include <algorithm>
#include <charconv>

namespace flowd::core {
namespace {

YamlNode read_text(std::string_view text) {
    Problems ignored;
    return read_yaml(text, "", ignored).value_or(YamlNode{});
}

/// Where a line begins; lines count from 1.
std::size_t begin_of(std::string_view text, unsigned line) {
    std::size_t at = 0;
    for (unsigned i = 1; i < line && at != std::string_view::npos; ++i) {
        at = text.find('\n', at);
        if (at != std::string_view::npos) ++at;
    }
    return std::min(at, text.size());
}

std::size_t indent_of(std::string_view line) {
    return std::min(line.find_first_not_of(' '), line.size());
}

}  // namespace

const YamlNode::Entry* entry_at(const YamlNode& root, std::string_view path) {
    const std::size_t dot = path.rfind('.');
    const YamlNode* const parent = dot == std::string_view::npos ? &root : node_at(root, path.substr(0, dot));
    return parent == nullptr ? nullptr : parent->find(dot == std::string_view::npos ? path : path.substr(dot + 1));
}

const YamlNode* node_at(const YamlNode& root, std::string_view path) {
    const YamlNode* node = &root;
    while (!path.empty() && node != nullptr) {
        const std::string_view step = path.substr(0, path.find('.'));
        path.remove_prefix(std::min(step.size() + 1, path.size()));
        const std::size_t bracket = step.find('[');
        const YamlNode::Entry* const entry = node->find(step.substr(0, bracket));
        node = entry == nullptr ? nullptr : &entry->value;
        if (node == nullptr || bracket == std::string_view::npos) continue;
        std::size_t index = 0;
        std::from_chars(step.data() + bracket + 1, step.data() + step.size(), index);
        node = index < node->items.size() ? &node->items[index] : nullptr;
    }
    return node;
}

std::string with_value(std::string text, std::string_view path, std::string_view value) {
    const YamlNode root = read_text(text);
    const YamlNode* const node = node_at(root, path);
    if (node == nullptr || node->where.line == 0) return text;
    const std::size_t begin = begin_of(text, node->where.line) + node->where.column - 1;
    const std::size_t line_end = std::min(text.find('\n', begin), text.size());
    const std::size_t end = std::min(text.find(" #", begin), line_end);
    return text.replace(begin, end - begin, value);
}

std::string without_key(std::string text, std::string_view path) {
    const YamlNode root = read_text(text);
    const YamlNode::Entry* const entry = entry_at(root, path);
    if (entry == nullptr) return text;
    const std::size_t begin = begin_of(text, entry->where.line);
    std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    while (end < text.size()) {
        const std::string_view line = std::string_view(text).substr(end, text.find('\n', end) - end);
        if (indent_of(line) < entry->where.column && !line.empty()) break;
        end += line.size() + 1;
    }
    return text.erase(begin, end - begin);
}

}  // namespace flowd::core
