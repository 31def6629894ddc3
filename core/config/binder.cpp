// SPDX-License-Identifier: Apache-2.0
#include "core/config/binder.hpp"

#include <algorithm>
#include <utility>

#include "core/config/hints.hpp"
#include "flowd/counted.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

bool has_required_fields(const Option& option) {
    return std::any_of(option.fields.begin(), option.fields.end(), [](const Option& field) { return field.required(); });
}

bool is_collection(std::uint32_t type) {
    return type == FLOWD_OPTION_GROUP || type == FLOWD_OPTION_LIST || type == FLOWD_OPTION_MAP;
}

bool is_activity(const Option& option) {
    return option.type == FLOWD_OPTION_ACTIVITY ||
           (option.type == FLOWD_OPTION_LIST && !option.fields.empty() && option.fields[0].type == FLOWD_OPTION_ACTIVITY);
}

std::string below(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : path + "." + std::string(name);
}

/// default_text as a node: scalars are taken literally; collections and quoted text are parsed as YAML.
std::optional<YamlNode> default_node(const Option& option, Problems& problems) {
    const std::string& text = *option.default_text;
    if (is_collection(option.type) || (!text.empty() && (text.front() == '"' || text.front() == '\'')))
        return read_yaml_value(text, "", problems);
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.quoted = true;
    node.text = text;
    return node;
}

}  // namespace

bool Binder::bind_table(const OptionTable& table, const YamlNode* node, const Location& where, const std::string& path,
                        flowd_value& out, const std::vector<std::string>& more_keys) {
    tree_.remember("", where);
    out.flags = present(node != nullptr);
    return bind_group(table, node, At{path, "", where}, out, more_keys);
}

bool Binder::bind_group(const OptionTable& table, const YamlNode* node, const At& at, flowd_value& out,
                        const std::vector<std::string>& more_keys) {
    out.size = sizeof(flowd_value);
    out.type = FLOWD_OPTION_GROUP;
    flowd_value* items = tree_.add_items(out, table.size());
    for (std::size_t i = 0; i < table.size(); ++i) items[i].type = table[i].type;

    bool good = true;
    std::vector<const YamlNode::Entry*> chosen(table.size(), nullptr);
    if (node != nullptr) {
        for (const YamlNode::Entry& entry : node->entries) {
            const auto row = std::find_if(table.begin(), table.end(),
                                          [&](const Option& option) { return option.is_written_as(entry.key); });
            if (row == table.end()) {
                reject_key(entry, table, at, more_keys);
                good = false;
                continue;
            }
            const YamlNode::Entry*& place = chosen[static_cast<std::size_t>(row - table.begin())];
            if (place != nullptr) {
                Problem problem;
                problem.where = entry.where;
                problem.path = below(at.written, entry.key);
                problem.message = "the same option as " + place->key;
                problem.found = "the first is at " + place->where.to_string();
                problem.hint = "keep one of the two, best " + row->name;
                problems_.add(std::move(problem));
                good = false;
                continue;
            }
            place = &entry;
        }
    }

    // Activities last: their names are resolved in the experiment of the same group.
    Group group{table, items, std::vector<char>(table.size(), 0)};
    const OptionTable* const outer = std::exchange(table_, &table);
    for (const bool activities : {false, true}) {
        for (std::size_t i = 0; i < table.size(); ++i) {
            if (is_activity(table[i]) != activities) continue;
            if (!bind_row(table[i], chosen[i], at, group, items[i])) {
                group.failed[i] = 1;
                good = false;
            }
        }
    }
    table_ = outer;
    return good;
}

bool Binder::bind_row(const Option& option, const YamlNode::Entry* entry, const At& group_at, Group& group,
                      flowd_value& out) {
    if (entry == nullptr) {
        if (!option.required()) return bind_default(option, group_at, group, out);
        Problem problem;
        problem.where = group_at.where;
        problem.path = below(group_at.written, option.name);
        problem.message = "required, but not written";
        problem.allowed = allowed_text(option);
        problem.hint = "add `" + option.name + ":` here";
        problems_.add(std::move(problem));
        return false;
    }
    At at{below(group_at.written, entry->key), below(group_at.canonical, option.name), entry->value.where,
          group_at.is_default, group_at.secret || option.secret()};
    if (!option.deprecated_by.empty() && !at.is_default) {
        Problem problem;
        problem.level = FLOWD_LEVEL_WARNING;
        problem.where = entry->where;
        problem.path = at.written;
        problem.message = "deprecated";
        problem.hint = "use " + option.deprecated_by + " instead";
        problems_.add(std::move(problem));
    }
    if (!at.is_default) {
        tree_.remember(at.canonical, is_collection(option.type) ? entry->where : entry->value.where);
        if (option.is_file_key(entry->key)) {
            tree_.remember(below(group_at.canonical, option.file_key()), entry->value.where);
            return bind_file(option, entry->value, at, out);
        }
        if (at.secret) files_with_secrets_.insert(entry->where.file);
    }
    return bind_value(option, entry->value, at, group, out);
}

bool Binder::bind_default(const Option& option, const At& group_at, Group& group, flowd_value& out) {
    out.type = option.type;
    At at{below(group_at.written, option.name), below(group_at.canonical, option.name), group_at.where, true,
          group_at.secret || option.secret()};
    if (option.default_text) {
        const auto node = default_node(option, problems_);
        return node && bind_value(option, *node, at, group, out);
    }
    if (option.type == FLOWD_OPTION_GROUP && !has_required_fields(option)) {
        out.flags = present(false);
        return bind_group(option.fields, nullptr, at, out, {});
    }
    return true;
}

bool Binder::bind_value(const Option& option, const YamlNode& node, const At& at, Group& group, flowd_value& out) {
    out.type = option.type;
    const bool good = is_collection(option.type) ? bind_collection(option, node, at, group, out)
                                                 : bind_scalar(option, node, at, group, out);
    if (!good) {
        const flowd_string key = out.key;
        out = flowd_value{};
        out.size = sizeof(flowd_value);
        out.type = option.type;
        out.key = key;
    }
    return good;
}

bool Binder::bind_collection(const Option& option, const YamlNode& node, const At& at, Group& group, flowd_value& out) {
    out.flags = present(!at.is_default);
    if (option.type == FLOWD_OPTION_GROUP) {
        if (node.kind != YamlNode::Kind::map && node.kind != YamlNode::Kind::null)
            return reject(option, node, at, "has to be a group of keys");
        return bind_group(option.fields, &node, at, out, {});
    }
    const bool is_map = option.type == FLOWD_OPTION_MAP;
    if (is_map ? (node.kind != YamlNode::Kind::map && node.kind != YamlNode::Kind::null)
               : node.kind != YamlNode::Kind::sequence) {
        if (is_map) return reject(option, node, at, "has to be a group of keys");
        return reject(option, node, at, "has to be a list",
                      node.kind == YamlNode::Kind::null ? "write [] if there is to be nothing in it" : "");
    }
    const Option& item = option.fields.at(0);
    const std::size_t count = is_map ? node.entries.size() : node.items.size();
    if (!option.in_range(static_cast<double>(count)))
        return reject(option, node, at, counted(count, "item") + ", which is out of range");
    flowd_value* items = tree_.add_items(out, count);
    bool good = true;
    for (std::size_t i = 0; i < count; ++i) {
        const YamlNode& value = is_map ? node.entries[i].value : node.items[i];
        const std::string suffix = "[" + (is_map ? node.entries[i].key : std::to_string(i)) + "]";
        if (is_map) items[i].key = tree_.keep(node.entries[i].key);
        const At item_at{at.written + suffix, at.canonical + suffix, value.where, at.is_default,
                         at.secret || item.secret()};
        if (!at.is_default) tree_.remember(item_at.canonical, is_map ? node.entries[i].where : value.where);
        if (!at.is_default && is_map) tree_.remember(below(at.canonical, node.entries[i].key), node.entries[i].where);
        list_index_ = i;
        if (!bind_value(item, value, item_at, group, items[i])) good = false;
    }
    return good;
}

bool Binder::reject(const Option& option, const YamlNode& node, const At& at, std::string message, std::string hint,
                    std::string nearest) {
    Problem problem;
    problem.where = node.where.line > 0 ? node.where : at.where;
    problem.path = at.written;
    problem.message = std::move(message);
    problem.found = at.secret || option.holds_secret() ? "(secret)" : describe(node);
    problem.allowed = allowed_text(option);
    problem.nearest = std::move(nearest);
    problem.hint = std::move(hint);
    if (problem.hint.empty() && !problem.nearest.empty()) problem.hint = "write " + problem.nearest;
    if (problem.hint.empty() && table_ != nullptr && !at.secret) problem.hint = hint_for(option, node, *table_);
    problems_.add(std::move(problem));
    return false;
}

void Binder::reject_key(const YamlNode::Entry& entry, const OptionTable& table, const At& at,
                        const std::vector<std::string>& more_keys) {
    std::vector<std::string> names, words;
    for (const Option& option : table) {
        names.push_back(option.name);
        words.push_back(option.name);
        words.insert(words.end(), option.aliases.begin(), option.aliases.end());
        if (!option.has_file()) continue;
        names.push_back(option.file_key());
        words.push_back(option.file_key());
    }
    names.insert(names.end(), more_keys.begin(), more_keys.end());
    words.insert(words.end(), more_keys.begin(), more_keys.end());
    Problem problem;
    problem.where = entry.where;
    problem.path = below(at.written, entry.key);
    problem.message = "unknown key";
    problem.found = entry.key;
    problem.allowed = names.empty() ? "no keys" : join_words(names);
    problem.nearest = nearest_word(entry.key, words);
    problem.hint = problem.nearest.empty() ? "remove it" : "write " + problem.nearest;
    problems_.add(std::move(problem));
}

}  // namespace flowd::core
