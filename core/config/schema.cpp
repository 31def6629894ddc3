// SPDX-License-Identifier: Apache-2.0
// JSON schemas, reference pages and lists of options, generated from the tables.
#include <algorithm>
#include <cmath>

#include "core/config/render.hpp"
#include "core/config/scalar.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

// The patterns correspond to parse_duration and parse_size.
constexpr const char* duration_pattern =
    "^-?([0-9]+(\\.[0-9]+)? *(ns|us|\xc2\xb5s|ms|s|m|min|h|d) *)+$|^[0-9]+(\\.[0-9]+)?$";
constexpr const char* size_pattern = "^[0-9]+ *(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$";
constexpr const char* instance_suffix = "(/[A-Za-z0-9._-]{1,64})?$";

void write_schema(json::Writer& writer, const Option& option);

void write_properties(json::Writer& writer, const OptionTable& table, const std::vector<const OptionTable*>& more = {}) {
    std::vector<const OptionTable*> tables{&table};
    tables.insert(tables.end(), more.begin(), more.end());
    writer.member("type", "object");
    writer.key("properties").object();
    for (const OptionTable* each : tables) {
        for (const Option& option : *each) {
            writer.key(option.name);
            write_schema(writer, option);
            for (const std::string& alias : option.aliases) {
                writer.key(alias);
                write_schema(writer, option);
            }
            if (!option.has_file()) continue;
            writer.key(option.file_key()).object();
            writer.member("description", "Absolute name of a file whose first line is " + option.name + ".");
            writer.member("type", "string").end();
        }
    }
    writer.end();
    // A required option may be written as an alias.
    const bool any = std::any_of(table.begin(), table.end(), [](const Option& option) { return option.required(); });
    if (any) {
        writer.key("allOf").array();
        for (const Option& option : table) {
            if (!option.required()) continue;
            writer.object().key("anyOf").array();
            writer.object().key("required").array().value(option.name).end().end();
            for (const std::string& alias : option.aliases)
                writer.object().key("required").array().value(alias).end().end();
            if (option.has_file()) writer.object().key("required").array().value(option.file_key()).end().end();
            writer.end().end();
        }
        writer.end();
    }
    writer.member("additionalProperties", false);
}

void write_range(json::Writer& writer, const Option& option, const char* least, const char* most) {
    const auto bound = [&](const char* name, const std::optional<double>& value) {
        if (!value) return;
        if (*value == std::trunc(*value) && std::abs(*value) < 9e15)
            writer.member(name, static_cast<std::int64_t>(*value));
        else
            writer.member(name, *value);
    };
    bound(least, option.minimum);
    bound(most, option.maximum);
}

void write_alternatives(json::Writer& writer, const char* first, const char* second, const char* pattern) {
    writer.key("anyOf").array();
    writer.object().member("type", first).end();
    writer.object().member("type", second);
    if (pattern != nullptr) writer.member("pattern", pattern);
    writer.end().end();
}

void write_type(json::Writer& writer, const Option& option) {
    switch (option.type) {
        case FLOWD_OPTION_BOOLEAN:
            writer.member("type", "boolean");
            return;
        case FLOWD_OPTION_INTEGER:
            writer.member("type", "integer");
            write_range(writer, option, "minimum", "maximum");
            return;
        case FLOWD_OPTION_NUMBER:
            writer.member("type", "number");
            write_range(writer, option, "minimum", "maximum");
            return;
        case FLOWD_OPTION_CHOICE:
            writer.key("enum").array();
            for (const std::string& choice : option.choices) writer.value(choice);
            writer.end();
            return;
        case FLOWD_OPTION_DURATION:
            write_alternatives(writer, "number", "string", duration_pattern);
            return;
        case FLOWD_OPTION_SIZE:
            write_alternatives(writer, "integer", "string", size_pattern);
            return;
        case FLOWD_OPTION_EXPERIMENT:
        case FLOWD_OPTION_ACTIVITY:
            write_alternatives(writer, "integer", "string", nullptr);
            return;
        case FLOWD_OPTION_GROUP:
            write_properties(writer, option.fields);
            return;
        case FLOWD_OPTION_LIST:
            writer.member("type", "array");
            writer.key("items");
            write_schema(writer, option.fields.at(0));
            write_range(writer, option, "minItems", "maxItems");
            return;
        case FLOWD_OPTION_MAP:
            writer.member("type", "object");
            writer.key("additionalProperties");
            write_schema(writer, option.fields.at(0));
            write_range(writer, option, "minProperties", "maxProperties");
            return;
        default:
            writer.member("type", "string");
            return;
    }
}

void write_default(json::Writer& writer, const Option& option) {
    if (!option.default_text || option.secret()) return;
    const std::string& text = *option.default_text;
    switch (option.type) {
        case FLOWD_OPTION_BOOLEAN:
            writer.member("default", parse_boolean(text).value_or(false));
            return;
        case FLOWD_OPTION_INTEGER:
        case FLOWD_OPTION_EXPERIMENT:
        case FLOWD_OPTION_ACTIVITY:
            writer.member("default", parse_integer(text).value);
            return;
        case FLOWD_OPTION_NUMBER:
            writer.member("default", parse_number(text).value);
            return;
        default:
            writer.member("default", text);
            return;
    }
}

void write_schema(json::Writer& writer, const Option& option) {
    writer.object();
    if (!option.doc.empty()) writer.member("description", option.doc);
    write_type(writer, option);
    const bool is_many = option.type == FLOWD_OPTION_LIST || option.type == FLOWD_OPTION_MAP;
    if (!is_many) write_default(writer, option);
    if (option.secret()) writer.member("writeOnly", true);
    if (!option.deprecated_by.empty()) writer.member("deprecated", true);
    writer.end();
}

void write_instance_schema(json::Writer& writer, const ComponentOptions& component) {
    // `NAME:` without a value uses the defaults.
    writer.key("anyOf").array();
    writer.object().member("type", "null").end();
    writer.object();
    write_properties(writer, component.options, {&instance_options()});
    writer.end().end();
}

std::string key_pattern(const ComponentOptions& component) {
    std::string words = component.name;
    for (const std::string& alias : component.aliases) words += "|" + alias;
    return "^(" + words + ")" + instance_suffix;
}

std::string in_cell(std::string_view text) {
    std::string cell;
    for (const char c : text) {
        if (c == '|') cell.push_back('\\');
        cell.push_back(c == '\n' ? ' ' : c);
    }
    return cell;
}

void add_rows(std::string& page, const OptionTable& table, const std::string& above) {
    for (const Option& option : table) {
        const std::string path = above + option.name;
        std::string doc = option.doc;
        if (!option.aliases.empty()) doc += " Also spelled " + join_words(option.aliases, "and") + ".";
        if (!option.deprecated_by.empty()) doc += " Deprecated: use " + option.deprecated_by + ".";
        if (option.has_file()) doc += " Or `" + option.file_key() + "`: a file with it as its first line.";
        if (option.secret()) doc += " Secret.";
        std::string standard = option.required() ? "required" : option.default_text ? "`" + *option.default_text + "`" : "";
        if (option.default_text && (option.secret() || option.default_text->empty())) standard = "";
        const bool is_group = option.type == FLOWD_OPTION_GROUP;
        const Option* item =
            option.type == FLOWD_OPTION_LIST || option.type == FLOWD_OPTION_MAP ? &option.fields[0] : nullptr;
        page += "| `" + path + "` | " + type_name(option) + " | " + in_cell(standard) + " | " +
                (is_group || (item != nullptr && !item->fields.empty()) ? std::string() : in_cell(allowed_text(option))) +
                " | " + in_cell(doc) + " |\n";
        if (is_group) add_rows(page, option.fields, path + ".");
        if (item != nullptr && item->type == FLOWD_OPTION_GROUP) add_rows(page, item->fields, path + "[].");
    }
}

}  // namespace

std::string options_schema(const ComponentOptions& component) {
    std::string text;
    json::Writer writer(text);
    writer.object();
    writer.member("$schema", "https://json-schema.org/draft/2020-12/schema");
    writer.member("title", std::string(section_name(component.kind)) + "." + component.name);
    writer.member("description", component.summary);
    write_instance_schema(writer, component);
    writer.end();
    return text;
}

std::string configuration_schema(const std::vector<ComponentOptions>& components) {
    std::string text;
    json::Writer writer(text);
    writer.object();
    writer.member("$schema", "https://json-schema.org/draft/2020-12/schema");
    writer.member("title", "flowd-cpp configuration");
    writer.member("type", "object");
    writer.key("properties").object();
    for (const Option& option : global_options()) {
        writer.key(option.name);
        write_schema(writer, option);
    }
    for (const std::uint32_t kind : {FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER}) {
        writer.key(section_name(kind)).object();
        writer.key("type").array().value("object").value("null").end();
        if (kind == FLOWD_ENRICHER) {
            writer.key("properties").object();
            for (const Option& option : enricher_section_options()) {
                writer.key(option.name);
                write_schema(writer, option);
            }
            writer.end();
        }
        writer.key("patternProperties").object();
        for (const ComponentOptions& component : components) {
            if (component.kind != kind) continue;
            writer.key(key_pattern(component)).object();
            writer.member("description", component.summary);
            write_instance_schema(writer, component);
            writer.end();
        }
        writer.end();
        writer.member("additionalProperties", false);
        writer.end();
    }
    writer.end();
    writer.member("additionalProperties", false);
    writer.end();
    return text;
}

std::string reference_page(const ComponentOptions& component) {
    std::string page =
        "## " + std::string(section_name(component.kind)) + "." + component.name + "\n\n" + component.summary + "\n";
    if (!component.aliases.empty()) page += "\nAlso spelled " + join_words(component.aliases, "and") + ".\n";
    if (component.options.empty()) return page + "\nIt has no options.\n";
    page += "\n| option | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
    add_rows(page, component.options, "");
    return page;
}

void write_options(json::Writer& writer, const OptionTable& options) {
    for (const Option& option : options) {
        writer.object();
        writer.member("name", option.name).member("type", type_name(option));
        writer.member("doc", option.doc);
        writer.member("required", option.required());
        if (option.default_text && !option.secret()) writer.member("default", *option.default_text);
        writer.member("allowed", allowed_text(option));
        if (!option.unit.empty()) writer.member("unit", option.unit);
        if (!option.aliases.empty()) {
            writer.key("aliases").array();
            for (const std::string& alias : option.aliases) writer.value(alias);
            writer.end();
        }
        if (option.has_file()) writer.member("file", option.file_key());
        if (option.secret()) writer.member("secret", true);
        if (!option.deprecated_by.empty()) writer.member("deprecatedBy", option.deprecated_by);
        const bool is_many = option.type == FLOWD_OPTION_LIST || option.type == FLOWD_OPTION_MAP;
        const OptionTable& fields = is_many ? option.fields.at(0).fields : option.fields;
        if (!fields.empty()) {
            writer.key("fields").array();
            write_options(writer, fields);
            writer.end();
        }
        writer.end();
    }
}

}  // namespace flowd::core
