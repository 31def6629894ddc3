// SPDX-License-Identifier: Apache-2.0
#include "core/config/implications.hpp"

#include <algorithm>
#include <utility>

namespace flowd::core {
namespace {

YamlNode::Entry& entry_of(YamlNode& map, const std::string& key, const Location& where) {
    map.kind = YamlNode::Kind::map;
    const auto found = std::find_if(map.entries.begin(), map.entries.end(),
                                    [&](const YamlNode::Entry& entry) { return entry.key == key; });
    if (found != map.entries.end()) return *found;
    map.entries.push_back({key, where, {}});
    map.entries.back().value.where = where;
    return map.entries.back();
}

void add_items(YamlNode& list, const YamlNode& more) {
    for (const YamlNode& item : more.items)
        if (std::none_of(list.items.begin(), list.items.end(),
                         [&](const YamlNode& known) { return identical(known, item); }))
            list.items.push_back(item);
}

}  // namespace

bool applies(const Implication& implication, const YamlNode& plugin) {
    const YamlNode::Entry* cause = plugin.find(implication.when);
    return cause != nullptr && !(cause->value.text.empty() && cause->value.items.empty() && cause->value.entries.empty());
}

void add_implied(std::vector<ImpliedInstance>& all, const Implication& implication, const YamlNode& plugin,
                 const std::string& plugin_path) {
    const Location& where = plugin.find(implication.when)->where;
    const std::string by = plugin_path + "." + implication.when;
    auto instance = std::find_if(all.begin(), all.end(),
                                 [&](const ImpliedInstance& known) { return known.entry.key == implication.backend; });
    if (instance == all.end())
        instance = all.insert(all.end(), {{implication.backend, where, {}}, by});
    else
        instance->by += ", " + by;
    YamlNode& options = instance->entry.value;
    options.kind = YamlNode::Kind::map;
    options.where = where;
    if (const YamlNode::Entry* required = plugin.find("required"))
        entry_of(options, "required", where).value = required->value;
    for (const auto& [name, text] : implication.options) {
        YamlNode::Entry& option = entry_of(options, name, where);
        if (text.starts_with('$')) {
            const YamlNode::Entry* source = plugin.find(text.substr(1));
            if (source == nullptr) continue;
            if (option.value.kind == YamlNode::Kind::sequence && source->value.kind == YamlNode::Kind::sequence)
                add_items(option.value, source->value);
            else
                option.value = source->value;
        } else {
            option.value.kind = YamlNode::Kind::scalar;
            option.value.text = text;
        }
    }
}

}  // namespace flowd::core
