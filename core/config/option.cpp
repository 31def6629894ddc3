// SPDX-License-Identifier: Apache-2.0
#include "core/config/option.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>

#include "core/config/binder.hpp"
#include "core/config/scalar.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

constexpr std::size_t max_rows = 256;
constexpr std::size_t max_nesting = 8;
constexpr std::size_t max_words_of_option = 64;

bool is_option_name(std::string_view name) {
    if (name.empty() || name.size() > 64 || !((name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z')))
        return false;
    return std::all_of(name.begin(), name.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
}

bool read_words(const char* const* words, std::vector<std::string>& into) {
    if (words == nullptr) return true;
    for (; *words != nullptr; ++words) {
        if (into.size() >= max_words_of_option) return false;
        into.emplace_back(*words);
    }
    return true;
}

Error wrong(const std::string& row, std::string_view what, flowd_result code = FLOWD_INVALID) {
    return Error{code, "option " + row + ": " + std::string(what)};
}

/// The core's copy of a sized struct; an error if it contains members unknown to this core.
Result<flowd_option> copy_row(const flowd_option* row, const std::string& place, std::size_t stride) {
    std::uint32_t size = 0;
    std::memcpy(&size, row, sizeof size);
    if (size < offsetof(flowd_option, doc) || size > stride)
        return wrong(place, "its size of " + std::to_string(size) + " does not fit the table");
    const auto* bytes = reinterpret_cast<const unsigned char*>(row);
    for (std::size_t i = sizeof(flowd_option); i < size; ++i)
        if (bytes[i] != 0) return wrong(place, "it asks for something this core does not know", FLOWD_UNSUPPORTED);
    flowd_option copy{};
    std::memcpy(&copy, row, std::min<std::size_t>(size, sizeof copy));
    return copy;
}

Result<OptionTable> read_table(const flowd_option* options, std::size_t count, std::size_t stride, const std::string& above,
                               bool named, std::size_t depth);

Result<Option> read_row(const flowd_option& row, const std::string& place, std::size_t depth) {
    Option option;
    option.type = row.type;
    option.flags = row.flags;
    if (row.name != nullptr) option.name = row.name;
    if (row.doc != nullptr) option.doc = row.doc;
    if (row.default_text != nullptr) option.default_text = row.default_text;
    if (row.unit != nullptr) option.unit = row.unit;
    if (row.deprecated_by != nullptr) option.deprecated_by = row.deprecated_by;
    if ((row.flags & FLOWD_OPTION_MINIMUM) != 0) option.minimum = row.minimum;
    if ((row.flags & FLOWD_OPTION_MAXIMUM) != 0) option.maximum = row.maximum;
    if (!read_words(row.aliases, option.aliases)) return wrong(place, "too many aliases");
    if (!read_words(row.choices, option.choices)) return wrong(place, "too many choices");

    if (row.type < FLOWD_OPTION_BOOLEAN || row.type > FLOWD_OPTION_MAP)
        return wrong(place, "type " + std::to_string(row.type) + " is unknown to this core", FLOWD_UNSUPPORTED);
    constexpr std::uint32_t known_flags = FLOWD_OPTION_REQUIRED | FLOWD_OPTION_SECRET | FLOWD_OPTION_TRUSTED |
                                          FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM | FLOWD_OPTION_FILE;
    if ((row.flags & ~known_flags) != 0) return wrong(place, "it has a flag this core does not know", FLOWD_UNSUPPORTED);
    if ((row.minimum != 0 && !option.minimum) || (row.maximum != 0 && !option.maximum))
        return wrong(place, "it has a bound without FLOWD_OPTION_MINIMUM or FLOWD_OPTION_MAXIMUM");
    if (option.minimum && option.maximum && *option.minimum > *option.maximum)
        return wrong(place, "its minimum is above its maximum");
    if (row.type == FLOWD_OPTION_CHOICE && option.choices.empty()) return wrong(place, "a CHOICE needs choices");
    if (row.type == FLOWD_OPTION_DURATION && !option.unit.empty() && !duration_unit(option.unit))
        return wrong(place, "the unit '" + option.unit + "' is unknown");
    if (option.required() && option.default_text) return wrong(place, "it is required and has a default");

    if (option.has_file() && (row.type != FLOWD_OPTION_STRING || option.name.empty()))
        return wrong(place, "FLOWD_OPTION_FILE is for a STRING with a name");

    const bool is_group = row.type == FLOWD_OPTION_GROUP;
    const bool is_many = row.type == FLOWD_OPTION_LIST || row.type == FLOWD_OPTION_MAP;
    if (!is_group && !is_many && row.field_count > 0) return wrong(place, "only GROUP, LIST and MAP have fields");
    if (is_many && row.field_count != 1) return wrong(place, "a LIST or MAP needs one row: the type of its items");
    if (is_group || is_many) {
        auto fields = read_table(row.fields, row.field_count, row.field_stride, place, is_group, depth + 1);
        if (!fields) return std::move(fields).error();
        option.fields = std::move(fields).value();
        if (is_many && (option.fields[0].required() || option.fields[0].default_text))
            return wrong(place, "its items are neither required nor have a default");
    }
    return option;
}

Result<OptionTable> read_table(const flowd_option* options, std::size_t count, std::size_t stride, const std::string& above,
                               bool named, std::size_t depth) {
    if (depth > max_nesting) return wrong(above, "it is nested too deeply");
    if (count > max_rows) return wrong(above.empty() ? "table" : above, "too many rows");
    if (count > 0 && (options == nullptr || stride < offsetof(flowd_option, doc)))
        return wrong(above.empty() ? "table" : above, "the table is missing or its stride is wrong");
    OptionTable table;
    std::set<std::string> words;
    for (std::size_t i = 0; i < count; ++i) {
        std::string place = above + (named ? (above.empty() ? "" : ".") + std::to_string(i) : "[]");
        const auto* at = reinterpret_cast<const flowd_option*>(reinterpret_cast<const char*>(options) + i * stride);
        const auto row = copy_row(at, place, stride);
        if (!row) return row.error();
        if (named) {
            if (row->name == nullptr || !is_option_name(row->name))
                return wrong(place, "it has no name of letters and digits");
            place = (above.empty() ? "" : above + ".") + row->name;
        }
        auto option = read_row(*row, place, depth);
        if (!option) return std::move(option).error();
        if (named) {
            if (!words.insert(option->name).second) return wrong(place, "its name is taken");
            std::vector<std::string> more = option->aliases;
            if (option->has_file()) {
                more.push_back(option->file_key());
                for (const std::string& alias : option->aliases) more.push_back(alias + "File");
            }
            for (const std::string& other : more)
                if (!words.insert(other).second) return wrong(place, "its alias '" + other + "' is taken");
        }
        table.push_back(std::move(option).value());
    }
    return table;
}

/// Defaults are parsed by the same code as the file.
Result<void> check_defaults(const OptionTable& table, const std::string& above) {
    const Registry numbers_only;
    const Binder::Trust no_judgement;
    for (const Option& option : table) {
        const std::string place = above.empty() ? option.name : above + "." + option.name;
        if (auto fields = check_defaults(option.fields, place); !fields) return fields;
        if (!option.default_text) continue;
        const OptionTable alone{option};
        ValueTree tree;
        Problems problems;
        Binder binder(tree, problems, numbers_only, no_judgement);
        if (binder.bind_table(alone, nullptr, {}, above, tree.root())) continue;
        std::string why = problems.empty() ? "does not parse" : problems[0].message;
        if (!problems.empty() && !problems[0].allowed.empty()) why += ", allowed: " + problems[0].allowed;
        return wrong(place, "its default '" + *option.default_text + "': " + why);
    }
    return {};
}

std::string range_text(const Option& option, std::string (*text)(double)) {
    if (!option.bounded()) return {};
    if (!option.maximum) return text(*option.minimum) + " or more";
    if (!option.minimum) return text(*option.maximum) + " or less";
    return text(*option.minimum) + " to " + text(*option.maximum);
}

std::string plain_text(double number) {
    return number == std::trunc(number) && std::abs(number) < 9e15 ? std::to_string(static_cast<std::int64_t>(number))
                                                                   : number_text(number);
}

std::string items_of(const Option& option) {
    const std::string range = range_text(option, plain_text);
    return range.empty() ? std::string() : " (" + range + " items)";
}

}  // namespace

bool Option::holds_secret() const {
    return secret() || std::any_of(fields.begin(), fields.end(), [](const Option& field) { return field.holds_secret(); });
}

bool Option::is_called(std::string_view key) const {
    return key == name || std::find(aliases.begin(), aliases.end(), key) != aliases.end();
}

bool Option::is_file_key(std::string_view key) const {
    constexpr std::string_view suffix = "File";
    return has_file() && key.size() > suffix.size() && key.ends_with(suffix) &&
           is_called(key.substr(0, key.size() - suffix.size()));
}

Result<OptionTable> read_options(const flowd_option* options, std::size_t count, std::size_t stride, bool of_component) {
    auto table = read_table(options, count, stride, "", true, 0);
    if (!table) return table;
    if (of_component)
        for (const Option& option : *table)
            for (const char* reserved : {"required", "module"})
                if (option.is_called(reserved)) return wrong(option.name, "that key belongs to the core");
    if (auto defaults = check_defaults(*table, ""); !defaults) return std::move(defaults).error();
    return table;
}

std::string type_name(const Option& option) {
    static constexpr std::array<const char*, 17> names{"",           "boolean",  "integer", "number",  "text", "choice",
                                                       "duration",   "size",     "address", "network", "host", "path",
                                                       "experiment", "activity", "group",   "list",    "map"};
    std::string name = option.type < names.size() ? names[option.type] : "";
    if (option.type == FLOWD_OPTION_LIST || option.type == FLOWD_OPTION_MAP)
        return name + " of " + type_name(option.fields.at(0));
    return name;
}

std::string allowed_text(const Option& option) {
    switch (option.type) {
        case FLOWD_OPTION_BOOLEAN:
            return "true or false";
        case FLOWD_OPTION_INTEGER:
        case FLOWD_OPTION_NUMBER: {
            const std::string kind = option.type == FLOWD_OPTION_INTEGER ? "an integer" : "a number";
            const std::string range = range_text(option, plain_text);
            return range.empty() ? kind : kind + ", " + range;
        }
        case FLOWD_OPTION_STRING:
            return "text";
        case FLOWD_OPTION_CHOICE: {
            std::vector<std::string> words = option.choices;
            for (std::string& word : words)
                if (word.empty()) word = "\"\"";
            return join_words(words);
        }
        case FLOWD_OPTION_DURATION: {
            const std::string bare = option.unit.empty() ? "" : " (a bare number: " + option.unit + ")";
            const std::string range =
                range_text(option, [](double ns) { return duration_text(static_cast<std::int64_t>(ns)); });
            return "a duration such as 3s" + bare + (range.empty() ? "" : ", " + range);
        }
        case FLOWD_OPTION_SIZE: {
            const std::string range =
                range_text(option, [](double bytes) { return size_text(static_cast<std::int64_t>(bytes)); });
            return "a size such as 4 MiB (a bare number: bytes)" + (range.empty() ? "" : ", " + range);
        }
        case FLOWD_OPTION_ADDRESS:
            return "an IPv4 or IPv6 address";
        case FLOWD_OPTION_NETWORK:
            return "a prefix such as 192.0.2.0/24 or 2001:db8::/32";
        case FLOWD_OPTION_HOST:
            return "a host name or an address";
        case FLOWD_OPTION_PATH:
            return "an absolute file name";
        case FLOWD_OPTION_EXPERIMENT:
        case FLOWD_OPTION_ACTIVITY: {
            const std::string kind = option.type == FLOWD_OPTION_EXPERIMENT ? "an experiment" : "an activity";
            const std::string range = range_text(option, plain_text);
            return kind + " of the registry by name, or a number" + (range.empty() ? "" : ", " + range);
        }
        case FLOWD_OPTION_GROUP: {
            std::vector<std::string> names;
            for (const Option& field : option.fields) names.push_back(field.name);
            return "a group of " + join_words(names, "and");
        }
        case FLOWD_OPTION_LIST:
            return "a list" + items_of(option) + ", each " + allowed_text(option.fields.at(0));
        case FLOWD_OPTION_MAP:
            return "a map" + items_of(option) + ", each value " + allowed_text(option.fields.at(0));
        default:
            return {};
    }
}

}  // namespace flowd::core
