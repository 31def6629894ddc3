// SPDX-License-Identifier: Apache-2.0
#include "core/setup/migration.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "core/base/files.hpp"
#include "core/config/render.hpp"
#include "core/setup/yaml_path.hpp"
#include "flowd/number.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t comment_width = 118;

/// The value of a key of a rule; empty if it is missing.
std::string rule_text(const YamlNode& rule, std::string_view key) {
    const YamlNode::Entry* const entry = rule.find(key);
    return entry == nullptr ? std::string() : entry->value.text;
}

YamlNode& node_to_set(YamlNode& root, std::string_view path) {
    YamlNode* node = &root;
    while (!path.empty()) {
        const std::string key(path.substr(0, path.find('.')));
        node->kind = YamlNode::Kind::map;
        if (node->find(key) == nullptr) node->entries.push_back({key, {}, {}});
        node = &std::find_if(node->entries.begin(), node->entries.end(), [&](const auto& one) {
                    return one.key == key;
                })->value;
        path.remove_prefix(std::min(key.size() + 1, path.size()));
    }
    return *node;
}

/// flowd writes several values as "a, b".
std::vector<YamlNode> values_in(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::sequence) return node.items;
    std::vector<YamlNode> values;
    for (std::size_t begin = 0; begin <= node.text.size();) {
        const std::size_t end = std::min(node.text.find(',', begin), node.text.size());
        YamlNode one = node;
        one.text = node.text.substr(begin, end - begin);
        one.text.erase(0, one.text.find_first_not_of(' '));
        one.text.erase(one.text.find_last_not_of(' ') + 1);
        values.push_back(std::move(one));
        begin = end + 1;
    }
    return values;
}

bool is_one_of(const YamlNode& value, const YamlNode& allowed) {
    const std::vector<YamlNode> values = values_in(value), texts = allowed.kind == YamlNode::Kind::sequence
                                                                       ? allowed.items
                                                                       : std::vector<YamlNode>{allowed};
    return std::any_of(texts.begin(), texts.end(), [&](const YamlNode& text) {
        return std::any_of(values.begin(), values.end(), [&](const YamlNode& one) { return one.text == text.text; });
    });
}

/// Whether the rule applies to this key, which the file writes as `spelling`.
bool is_for(const YamlNode& rule, const YamlNode& value, const std::string& spelling, const YamlNode& result) {
    const YamlNode::Entry* const equals = rule.find("equals");
    const YamlNode::Entry* const unless = rule.find("unless");
    const std::string spelled = rule_text(rule, "spelled"), without = rule_text(rule, "without"),
                      when = rule_text(rule, "when");
    return (spelled.empty() || spelled == spelling) && (equals == nullptr || is_one_of(value, equals->value)) &&
           (unless == nullptr || !is_one_of(value, unless->value)) && (without.empty() || value.find(without) == nullptr) &&
           (when.empty() || node_at(result, when) != nullptr);
}

YamlNode column_of(const YamlNode& rows, std::size_t column) {
    YamlNode list;
    list.kind = YamlNode::Kind::sequence;
    for (const YamlNode& row : rows.items)
        if (column < row.items.size()) list.items.push_back(row.items[column]);
    return list;
}

YamlNode value_to_set(const YamlNode& rule, const YamlNode& value) {
    if (const YamlNode::Entry* const fixed = rule.find("value")) return fixed->value;
    if (const std::string column = rule_text(rule, "column"); !column.empty()) {
        return column_of(value, whole_number<std::size_t>(column).value_or(0));
    }
    if (rule.find("equals") != nullptr && rule_text(rule, "set").find('.') == rule_text(rule, "set").rfind('.')) {
        YamlNode group;  // the value is the name of a component, whose options are other keys
        group.kind = YamlNode::Kind::map;
        return group;
    }
    if (rule.find("list") == nullptr) return value;
    YamlNode list;
    list.kind = YamlNode::Kind::sequence;
    list.items = values_in(value);
    return list;
}

/// "backends.firefly.enrich" for "backends.firefly/regional.enrich".
std::string without_names(const std::string& path) {
    const std::size_t slash = path.find('/');
    if (slash == std::string::npos) return path;
    return path.substr(0, slash) + path.substr(std::min(path.find('.', slash), path.size()));
}

std::vector<std::string> lines_of(const std::string& text, std::size_t width) {
    std::vector<std::string> lines{""};
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find(' ', begin), text.size());
        if (!lines.back().empty() && lines.back().size() + 1 + end - begin > width) lines.emplace_back();
        lines.back() += (lines.back().empty() ? "" : " ") + text.substr(begin, end - begin);
        begin = end + 1;
    }
    return lines;
}

constexpr std::array<std::uint32_t, 3> component_kinds{FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER};

struct Named {
    std::string name;     ///< `word` itself if no component has this name
    OptionTable options;  ///< empty if its module is not installed
};

/// The component of an instance key such as "firefly/regional"; the name may be an alias.
Named named_component(Installation& installation, std::uint32_t kind, const std::string& word) {
    const std::string type = word.substr(0, word.find('/'));
    const Catalog::Entry* const known = installation.catalog().find(kind, type);
    Named named{known != nullptr ? known->name : type, {}};
    const auto found = installation.modules().find(kind, named.name, "");
    if (!found) return named;
    const flowd_component& component = *found->component;
    named.name = component.name;
    if (auto options = read_options(component.options, component.option_count, component.option_stride))
        named.options = std::move(*options);
    return named;
}

struct Comments {
    std::multimap<std::string, std::string> notes;  ///< by path
    std::set<std::string> removed;                  ///< paths that are written as comments
};

/// Prints a tree with its comments.
class MigrationPrinter {
  public:
    MigrationPrinter(const Comments& comments, Installation& installation)
        : comments_(comments), registry_(installation.registry()), installation_(installation) {}

    void comment(std::size_t indent, const std::string& text) {
        for (const std::string& line : lines_of(text, comment_width - indent))
            out_ += std::string(indent, ' ') + "# " + line + "\n";
    }
    void top(const YamlNode& root) { entries(root, "", 0, nullptr); }
    [[nodiscard]] std::string take() { return std::move(out_); }

  private:
    void entries(const YamlNode& map, const std::string& path, std::size_t indent, const OptionTable* table) {
        std::optional<std::uint32_t> experiment;
        for (const YamlNode::Entry& entry : map.entries)
            if (const Option* const option = find(table, entry.key);
                option != nullptr && option->type == FLOWD_OPTION_EXPERIMENT)
                experiment = whole_number<std::uint32_t>(entry.value.text);
        for (const YamlNode::Entry& entry : map.entries) {
            const std::string below = path + (path.empty() ? "" : ".") + entry.key;
            const auto [first, last] = comments_.notes.equal_range(below);
            for (auto note = first; note != last; ++note) comment(indent, note->second);
            const Option* const option = find(table, entry.key);
            const std::size_t begin = out_.size();
            out_ += std::string(indent, ' ') + yaml_text(entry.key) + ":";
            const OptionTable* const fields = indent == 2         ? table_of(path, entry.key)
                                              : option != nullptr ? &option->fields
                                                                  : nullptr;
            value(entry.value, below, indent, fields, option == nullptr ? "" : name_of(*option, entry.value, experiment));
            if (comments_.removed.contains(below)) comment_out(begin);
        }
    }

    void value(const YamlNode& node, const std::string& path, std::size_t indent, const OptionTable* fields,
               const std::string& name) {
        const bool groups =
            !node.items.empty() && std::any_of(node.items.begin(), node.items.end(), [](const YamlNode& item) {
                return item.kind == YamlNode::Kind::map && !item.entries.empty();
            });
        if (node.kind == YamlNode::Kind::map && !node.entries.empty()) {
            out_ += "\n";
            return entries(node, path, indent + 2, fields);
        }
        if (!groups) {
            const std::string text = flow(node);
            out_ += (text.empty() ? "" : " " + text) + (name.empty() ? "" : "  # " + name) + "\n";
            return;
        }
        out_ += "\n";
        const OptionTable* const of_items = fields != nullptr && fields->size() == 1 ? &fields->front().fields : nullptr;
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            const std::size_t begin = out_.size();
            entries(node.items[i], path + "[" + std::to_string(i) + "]", indent + 4, of_items);
            out_[begin + indent + 2] = '-';
        }
    }

    [[nodiscard]] static std::string flow(const YamlNode& node) {
        std::string text;
        if (node.kind == YamlNode::Kind::map) {
            for (const YamlNode::Entry& entry : node.entries)
                text += (text.empty() ? "" : ", ") + yaml_text(entry.key) + ": " + flow(entry.value);
            return "{" + text + "}";
        }
        if (node.kind == YamlNode::Kind::sequence) {
            for (const YamlNode& item : node.items) text += (text.empty() ? "" : ", ") + flow(item);
            return "[" + text + "]";
        }
        if (node.kind == YamlNode::Kind::null) return {};
        // Text is written unquoted where that is safe: quotes would convert a number to text.
        static constexpr std::string_view first = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_./+";
        const std::string_view text_of = node.text;
        const std::size_t begin = text_of.size() > 1 && text_of[0] == '-' ? 1 : 0;
        const bool plain = !node.quoted && begin < text_of.size() && first.find(text_of[begin]) != std::string_view::npos &&
                           std::all_of(text_of.begin(), text_of.end(), [](char c) {
                               return first.find(c) != std::string_view::npos || c == '-' || c == ' ';
                           });
        return plain ? node.text : yaml_text(node.text);
    }

    void comment_out(std::size_t begin) {
        const std::string text = out_.substr(begin);
        out_.erase(begin);
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at), indent = text.find_first_not_of(' ', at) - at;
            const std::string line = text.substr(at, end - at);
            out_ += line.substr(0, indent) + (line[indent] == '#' ? "" : "# ") + line.substr(indent) + "\n";
            at = end + 1;
        }
    }

    static const Option* find(const OptionTable* table, const std::string& key) {
        if (table == nullptr) return nullptr;
        const auto found =
            std::find_if(table->begin(), table->end(), [&](const Option& one) { return one.is_called(key); });
        return found == table->end() ? nullptr : &*found;
    }
    const OptionTable* table_of(const std::string& section, const std::string& key) {
        const auto kind = std::find_if(component_kinds.begin(), component_kinds.end(),
                                       [&](std::uint32_t one) { return section == section_name(one); });
        if (kind == component_kinds.end()) return nullptr;
        const auto [table, added] = tables_.try_emplace({section, key});
        if (added) table->second = named_component(installation_, *kind, key).options;
        return &table->second;
    }
    /// The registered name of a number, because the how-to and some tools use other numbers than the registry.
    [[nodiscard]] std::string name_of(const Option& option, const YamlNode& node,
                                      std::optional<std::uint32_t> experiment) const {
        const auto id = whole_number<std::uint32_t>(node.text);
        const bool is_experiment = option.type == FLOWD_OPTION_EXPERIMENT;
        if (!id || (!is_experiment && option.type != FLOWD_OPTION_ACTIVITY) || (!is_experiment && !experiment)) return {};
        const auto name = is_experiment ? registry_.experiment_name(*id) : registry_.activity_name(*experiment, *id);
        if (*id == 0) return "no tag";
        return name.empty() ? "not in the registry" : std::string(name);
    }

    const Comments& comments_;
    const Registry& registry_;
    Installation& installation_;
    std::map<std::pair<std::string, std::string>, OptionTable> tables_;  ///< by section and key
    std::string out_;
};

class Migration {
  public:
    Migration(const YamlNode& rules, Installation& installation) : rules_(rules), installation_(installation) {}

    /// Migrates a configuration of the same form: names are replaced by those of flowd-cpp.
    void adopt(YamlNode root) {
        for (const YamlNode& rule : rules_.items) {
            const YamlNode* const from = node_at(root, rule_text(rule, "key"));
            if (from == nullptr || rule.find("set") == nullptr) continue;
            comments_.notes.emplace(rule_text(rule, "set"), rule_text(rule, "note"));
            node_to_set(root, rule_text(rule, "set")) = YamlNode(*from);
            const std::string section = rule_text(rule, "key").substr(0, rule_text(rule, "key").rfind('.'));
            const std::string key = rule_text(rule, "key").substr(section.size() + 1);
            std::erase_if(node_to_set(root, section).entries, [&](const YamlNode::Entry& one) { return one.key == key; });
        }
        result_ = std::move(root);
        for (const std::uint32_t kind : component_kinds)
            for (YamlNode::Entry& section : result_.entries)
                if (section.key == section_name(kind))
                    for (YamlNode::Entry& instance : section.value.entries) rename(section.key, instance, kind);
        annotate(result_, "");
    }

    /// Migrates a configuration of another form: writes the equivalent of each key to a new one.
    void convert(const YamlNode& root) {
        std::set<std::string> used;
        for (const YamlNode& rule : rules_.items) {
            const std::string key = rule_text(rule, "key"), path = rule_text(rule, "set"), note = rule_text(rule, "note");
            const YamlNode* const from = node_at(root, key);
            if (from == nullptr || !is_for(rule, *from, key, result_)) continue;
            used.insert(key);
            if (path.empty()) {
                leave_out(key, note);
                continue;
            }
            node_to_set(result_, path) = value_to_set(rule, *from);
            if (!note.empty()) comments_.notes.emplace(path, note);
        }
        leave_out_unused(root, "", used);
    }

    /// Prints the result; keys that `check` refuses as unknown become comments.
    Migrated finish(const std::string& form, const std::string& name) {
        Migrated migrated;
        migrated.form = form;
        for (int pass = 0; pass < 2; ++pass) {
            migrated.text = print(form, name);
            migrated.loaded = installation_.parse(migrated.text, "migrated " + name);
            for (const Problem& problem : migrated.loaded.problems) {
                if (problem.message != "unknown key") continue;
                comments_.removed.insert(problem.path);
                comments_.notes.emplace(problem.path, "unknown: " + form +
                                                          " ignores it; flowd-cpp has no key of this name" +
                                                          (problem.nearest.empty() ? "" : ", but " + problem.nearest));
            }
        }
        return migrated;
    }

  private:
    void rename(const std::string& section, YamlNode::Entry& instance, std::uint32_t kind) {
        const std::string type = instance.key.substr(0, instance.key.find('/')), rest = instance.key.substr(type.size());
        const Named known = named_component(installation_, kind, type);
        const std::string path = section + "." + known.name + rest;
        spelled_[path] = type;
        instance.key = known.name + rest;
        for (YamlNode::Entry& entry : instance.value.entries)
            for (const Option& option : known.options) {
                if (!option.is_called(entry.key)) continue;
                spelled_[path + "." + option.name] = entry.key;
                entry.key = option.name;
                break;
            }
    }

    void annotate(const YamlNode& map, const std::string& path) {
        for (const YamlNode::Entry& entry : map.entries) {
            const std::string below = path + (path.empty() ? "" : ".") + entry.key;
            const auto spelling = spelled_.find(below);
            for (const YamlNode& rule : rules_.items) {
                if (rule_text(rule, "key") != without_names(below) || rule.find("set") != nullptr) continue;
                if (!is_for(rule, entry.value, spelling == spelled_.end() ? entry.key : spelling->second, result_))
                    continue;
                comments_.notes.emplace(below, rule_text(rule, "note"));
                if (rule.find("remove") != nullptr) comments_.removed.insert(below);
            }
            annotate(entry.value, below);
        }
    }

    void leave_out(const std::string& key, const std::string& why) { left_out_.push_back(key + ": " + why); }

    void leave_out_unused(const YamlNode& map, const std::string& path, const std::set<std::string>& used) {
        for (const YamlNode::Entry& entry : map.entries) {
            const std::string below = path + (path.empty() ? "" : ".") + entry.key;
            if (used.contains(below)) continue;
            if (entry.value.kind == YamlNode::Kind::map)
                leave_out_unused(entry.value, below, used);
            else
                leave_out(below, "has no equivalent, or belongs to what is not configured");
        }
    }

    std::string print(const std::string& form, const std::string& name) {
        MigrationPrinter printer(comments_, installation_);
        printer.comment(0, "Made by `flowd-cpp migrate` from " + name + ", a configuration of " +
                               (form == "how-to" ? "the SciTags how-to, which no daemon reads" : form) + ".");
        printer.top(result_);
        for (const std::string& text : left_out_) printer.comment(0, "left out: " + text);
        return printer.take();
    }

    const YamlNode& rules_;
    Installation& installation_;
    YamlNode result_{YamlNode::Kind::map, false, {}, {}, {}, {}};
    Comments comments_;
    std::map<std::string, std::string> spelled_;  ///< by path: the spelling in the file
    std::vector<std::string> left_out_;
};

/// Whether the first line with content is an assignment.
bool has_assignments(std::string_view text) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::size_t begin = line.find_first_not_of(" \t\r");
        if (begin == std::string_view::npos || line[begin] == '#') continue;
        const std::size_t end = line.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", begin);
        const std::size_t sign = end == std::string_view::npos ? end : line.find_first_not_of(' ', end);
        return end != begin && sign != std::string_view::npos && line[sign] == '=';
    }
    return false;
}

}  // namespace

Result<MigrationNotes> MigrationNotes::load(const std::filesystem::path& file) {
    const auto text = read_file(file);
    if (!text) return text.error();
    Problems problems;
    auto root = read_yaml(*text, file.string(), problems);
    if (!root) return Error{FLOWD_INVALID, problems.to_string()};
    MigrationNotes notes;
    notes.root_ = std::move(*root);
    if (const YamlNode::Entry* const names = notes.root_.find("predecessors"))
        for (const YamlNode& name : names->value.items) notes.predecessors_.push_back(name.text);
    return notes;
}

const YamlNode* MigrationNotes::rules(std::string_view form) const {
    const YamlNode::Entry* const rules = root_.find(form);
    return rules == nullptr ? nullptr : &rules->value;
}

Result<Migrated> migrate(std::string_view text, const std::string& name, const MigrationNotes& notes,
                         Installation& installation) {
    std::string form = "flowd";
    YamlNode root;
    if (has_assignments(text)) {
        auto read = read_assignments(text, name);
        if (!read) return read.error();
        root = std::move(*read);
    } else {
        Problems problems;
        auto read = read_yaml(text, name, problems);
        if (!read) return Error{FLOWD_INVALID, problems.to_string()};
        root = std::move(*read);
        const bool sample =
            node_at(root, "settings.flow_map_api") != nullptr || node_at(root, "firefly.collector_host") != nullptr;
        form = sample ? "how-to" : "flowd-go";
        if (!sample && root.find("plugins") == nullptr && root.find("backends") == nullptr)
            return Error{FLOWD_INVALID, name + ": neither a configuration of flowd-go nor one of flowd",
                         "a configuration has `plugins:` and `backends:`, or lines such as PLUGIN='np_api'"};
    }
    const YamlNode* const rules = notes.rules(form);
    if (rules == nullptr) return Error{FLOWD_NOT_FOUND, "the installed migration.yaml has no rules for " + form};
    (void)installation.scan_modules();
    Migration migration(*rules, installation);
    if (form == "flowd-go")
        migration.adopt(std::move(root));
    else
        migration.convert(root);
    return migration.finish(form, name);
}

}  // namespace flowd::core
