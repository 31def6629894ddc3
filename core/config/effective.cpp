// SPDX-License-Identifier: Apache-2.0
// The effective configuration as YAML and as JSON.
#include <algorithm>

#include "core/config/render.hpp"
#include "core/config/scalar.hpp"

namespace flowd::core {

namespace {

constexpr const char* redacted = "(secret)";

bool is_integer_type(std::uint32_t type) {
    return type == FLOWD_OPTION_INTEGER || type == FLOWD_OPTION_EXPERIMENT || type == FLOWD_OPTION_ACTIVITY;
}

std::string scalar_yaml(const Option& option, const flowd_value& value, bool secret) {
    if (secret) return yaml_text(redacted);
    const auto text = to_view(value.text);
    switch (option.type) {
        case FLOWD_OPTION_BOOLEAN:
        case FLOWD_OPTION_INTEGER:
        case FLOWD_OPTION_NUMBER:
        case FLOWD_OPTION_DURATION:
        case FLOWD_OPTION_SIZE:
        case FLOWD_OPTION_EXPERIMENT:
        case FLOWD_OPTION_ACTIVITY:
            return std::string(text);
        default:
            return yaml_text(text);
    }
}

class YamlWriter {
  public:
    explicit YamlWriter(const Registry& registry) : registry_(registry) {}

    /// Sets the tree that owns the values written from now on.
    void values_of(const ValueTree& tree) { tree_ = &tree; }

    void line(std::size_t indent, std::string_view text) { out_.append(indent, ' ').append(text).push_back('\n'); }

    void group(const OptionTable& table, const flowd_value& value, std::size_t indent, bool secret) {
        std::optional<std::uint32_t> experiment;
        for (std::size_t i = 0; i < table.size(); ++i)
            if (table[i].type == FLOWD_OPTION_EXPERIMENT && is_present(*item_at(value, i)))
                experiment = static_cast<std::uint32_t>(item_at(value, i)->integer);
        for (std::size_t i = 0; i < table.size(); ++i) {
            const flowd_value& item = *item_at(value, i);
            if (is_present(item)) member(table[i].name, table[i], item, indent, secret, experiment);
        }
    }

    void member(std::string_view name, const Option& option, const flowd_value& value, std::size_t indent, bool secret,
                std::optional<std::uint32_t> experiment) {
        secret = secret || option.secret();
        const std::string key = yaml_text(name) + ":";
        switch (option.type) {
            case FLOWD_OPTION_GROUP: {
                const std::size_t before = out_.size();
                line(indent, key);
                const std::size_t empty = out_.size();
                group(option.fields, value, indent + 2, secret);
                if (out_.size() != empty) return;
                out_.resize(before);
                line(indent, key + " {}");
                return;
            }
            case FLOWD_OPTION_MAP:
                line(indent, value.item_count == 0 ? key + " {}" : key);
                for (std::size_t i = 0; i < value.item_count; ++i)
                    member(to_view(item_at(value, i)->key), option.fields[0], *item_at(value, i), indent + 2, secret, {});
                return;
            case FLOWD_OPTION_LIST:
                list(key, option, value, indent, secret);
                return;
            default:
                if (const auto file = tree_->file_of(value); !file.empty()) {
                    line(indent, yaml_text(option.file_key()) + ": " + yaml_text(file));
                    return;
                }
                line(indent, key + " " + scalar_yaml(option, value, secret) + comment(option, value, secret, experiment));
                return;
        }
    }

    [[nodiscard]] std::string take() { return std::move(out_); }

  private:
    void list(const std::string& key, const Option& option, const flowd_value& value, std::size_t indent, bool secret) {
        const Option& item = option.fields[0];
        secret = secret || item.secret();
        if (!item.fields.empty() && value.item_count > 0) {
            line(indent, key);
            for (std::size_t i = 0; i < value.item_count; ++i) {
                line(indent + 2, "-");
                if (item.type == FLOWD_OPTION_GROUP)
                    group(item.fields, *item_at(value, i), indent + 4, secret);
                else
                    nested(item, *item_at(value, i), indent + 4, secret);
            }
            return;
        }
        std::string items;
        for (std::size_t i = 0; i < value.item_count; ++i)
            items += (i == 0 ? "" : ", ") + scalar_yaml(item, *item_at(value, i), secret);
        line(indent, key + " [" + items + "]");
    }
    /// Writes a list or map that is an item of a list.
    void nested(const Option& option, const flowd_value& value, std::size_t indent, bool secret) {
        if (value.item_count == 0) {
            line(indent, option.type == FLOWD_OPTION_MAP ? "{}" : "[]");
            return;
        }
        const Option& item = option.fields[0];
        for (std::size_t i = 0; i < value.item_count; ++i) {
            const flowd_value& inner = *item_at(value, i);
            if (option.type == FLOWD_OPTION_MAP) {
                member(to_view(inner.key), item, inner, indent, secret, {});
            } else if (item.fields.empty()) {
                line(indent, "- " + scalar_yaml(item, inner, secret || item.secret()));
            } else {
                line(indent, "-");
                if (item.type == FLOWD_OPTION_GROUP)
                    group(item.fields, inner, indent + 2, secret || item.secret());
                else
                    nested(item, inner, indent + 2, secret || item.secret());
            }
        }
    }
    [[nodiscard]] std::string comment(const Option& option, const flowd_value& value, bool secret,
                                      std::optional<std::uint32_t> experiment) const {
        if (secret) return {};
        std::string_view name;
        if (option.type == FLOWD_OPTION_EXPERIMENT)
            name = registry_.experiment_name(static_cast<std::uint32_t>(value.integer));
        if (option.type == FLOWD_OPTION_ACTIVITY && experiment)
            name = registry_.activity_name(*experiment, static_cast<std::uint32_t>(value.integer));
        return name.empty() ? std::string() : "  # " + std::string(name);
    }

    const Registry& registry_;
    const ValueTree* tree_ = nullptr;
    std::string out_;
};

void write_value(json::Writer& writer, const ValueTree& tree, const Option& option, const flowd_value& value, bool secret);

void write_members(json::Writer& writer, const ValueTree& tree, const OptionTable& table, const flowd_value& value,
                   bool secret) {
    for (std::size_t i = 0; i < table.size(); ++i) {
        if (!is_present(*item_at(value, i))) continue;
        if (const auto file = tree.file_of(*item_at(value, i)); !file.empty()) {
            writer.member(table[i].file_key(), file);
            continue;
        }
        writer.key(table[i].name);
        write_value(writer, tree, table[i], *item_at(value, i), secret);
    }
}

void write_value(json::Writer& writer, const ValueTree& tree, const Option& option, const flowd_value& value, bool secret) {
    secret = secret || option.secret();
    if (option.type == FLOWD_OPTION_GROUP) {
        writer.object();
        write_members(writer, tree, option.fields, value, secret);
        writer.end();
    } else if (option.type == FLOWD_OPTION_MAP) {
        writer.object();
        for (std::size_t i = 0; i < value.item_count; ++i) {
            writer.key(to_view(item_at(value, i)->key));
            write_value(writer, tree, option.fields[0], *item_at(value, i), secret);
        }
        writer.end();
    } else if (option.type == FLOWD_OPTION_LIST) {
        writer.array();
        for (std::size_t i = 0; i < value.item_count; ++i)
            write_value(writer, tree, option.fields[0], *item_at(value, i), secret);
        writer.end();
    } else if (secret) {
        writer.value(redacted);
    } else if (option.type == FLOWD_OPTION_BOOLEAN) {
        writer.value(value.integer != 0);
    } else if (is_integer_type(option.type)) {
        writer.value(value.integer);
    } else if (option.type == FLOWD_OPTION_NUMBER) {
        writer.value(value.number);
    } else {
        writer.value(to_view(value.text));
    }
}

}  // namespace

std::string yaml_text(std::string_view text) {
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '/' ||
               c == '.' || c == '-';
    };
    const bool looks_like_text =
        !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) != 0 || text[0] == '/');
    const bool is_word = parse_boolean(text).has_value() || text == "null" || text == "Null" || text == "NULL";
    if (looks_like_text && !is_word && std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
    std::string json;  // a JSON string is a double-quoted scalar
    json::Writer(json).value(text);
    return json;
}

std::string effective_yaml(const Configuration& configuration, const Registry& registry) {
    YamlWriter yaml(registry);
    yaml.values_of(configuration.global_values);
    yaml.group(global_options(), configuration.global_values.root(), 0, false);
    for (const std::uint32_t kind : {FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER}) {
        const bool any = std::any_of(configuration.instances.begin(), configuration.instances.end(),
                                     [&](const InstanceConfig& instance) { return instance.kind == kind; });
        const bool is_enricher = kind == FLOWD_ENRICHER;
        yaml.line(0, std::string(section_name(kind)) + (any || is_enricher ? ":" : ": {}"));
        yaml.values_of(configuration.enricher_values);
        if (is_enricher) yaml.group(enricher_section_options(), configuration.enricher_values.root(), 2, false);
        for (const InstanceConfig& instance : configuration.instances) {
            if (instance.kind != kind) continue;
            const std::string& by = instance.implied_by;
            yaml.line(2, yaml_text(instance.key) + ":" + (by.empty() ? "" : "  # implied by " + by));
            yaml.line(4, std::string("required: ") + (instance.required ? "true" : "false"));
            if (!instance.announce) yaml.line(4, "announce: false");
            if (instance.module_configured) yaml.line(4, "module: " + yaml_text(instance.module_path));
            yaml.values_of(instance.values);
            yaml.group(instance.options, instance.value(), 4, false);
        }
    }
    return yaml.take();
}

void write_effective_json(json::Writer& writer, const Configuration& configuration) {
    writer.object();
    write_members(writer, configuration.global_values, global_options(), configuration.global_values.root(), false);
    for (const std::uint32_t kind : {FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER}) {
        writer.key(section_name(kind)).object();
        if (kind == FLOWD_ENRICHER)
            write_members(writer, configuration.enricher_values, enricher_section_options(),
                          configuration.enricher_values.root(), false);
        for (const InstanceConfig& instance : configuration.instances) {
            if (instance.kind != kind) continue;
            writer.key(instance.key).object();
            writer.member("required", instance.required);
            if (!instance.announce) writer.member("announce", false);
            if (instance.module_configured) writer.member("module", instance.module_path);
            write_members(writer, instance.values, instance.options, instance.value(), false);
            writer.end();
        }
        writer.end();
    }
    writer.end();
}

}  // namespace flowd::core
