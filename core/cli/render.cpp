// SPDX-License-Identifier: Apache-2.0
#include "core/cli/render.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/base/text.hpp"
#include "core/cli/table.hpp"

namespace flowd::core::cli {
namespace {

namespace dom = simdjson::dom;

bool is_plain(const dom::element& value) {
    return !value.is_object() && !value.is_array();
}

bool is_list_of_objects(const dom::element& value) {
    if (!value.is_array()) return false;
    const dom::array items = value.get_array();
    return items.begin() != items.end() &&
           std::all_of(items.begin(), items.end(), [](const dom::element& item) { return item.is_object(); });
}

/// Whether the value is empty and therefore not shown.
bool is_empty(const dom::element& value) {
    if (value.is_null()) return true;
    if (value.is_string()) return value.get_string().value().empty();
    if (value.is_array()) return value.get_array().value().size() == 0;
    return value.is_object() && value.get_object().value().size() == 0;
}

bool has_suffix(std::string_view key, std::string_view suffix) {
    return key.size() >= suffix.size() && key.substr(key.size() - suffix.size()) == suffix;
}

std::string heading(std::string_view key) {
    for (const std::string_view unit : {"Seconds", "Bytes"}) {
        if (key.size() > unit.size() && has_suffix(key, unit)) key.remove_suffix(unit.size());
    }
    const std::string words = printable(key);
    const auto is_upper = [&](std::size_t at) { return at < words.size() && words[at] >= 'A' && words[at] <= 'Z'; };
    const auto is_lower = [&](std::size_t at) { return words[at] >= 'a' && words[at] <= 'z'; };
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const bool new_word = i > 0 && is_upper(i) && is_lower(i - 1);
        if (new_word) text += ' ';
        if (words[i] == '_') {
            text += ' ';
        } else {
            text += new_word && !is_upper(i + 1) ? static_cast<char>(words[i] - 'A' + 'a') : words[i];
        }
    }
    return text;
}

/// Scalars and arrays of scalars, on one line.
std::string inline_text(std::string_view key, const dom::element& value) {
    switch (value.type()) {
        case dom::element_type::STRING: {
            const std::string_view text = value.get_string();
            return text.empty() ? "-" : printable(text);
        }
        case dom::element_type::BOOL:
            return value.get_bool().value() ? "yes" : "no";
        case dom::element_type::NULL_VALUE:
            return "-";
        case dom::element_type::ARRAY: {
            std::string text;
            for (const dom::element item : value.get_array()) {
                if (!text.empty()) text += ", ";
                text += inline_text(key, item);
            }
            return text.empty() ? "none" : text;
        }
        case dom::element_type::OBJECT: {
            std::string text;
            for (const auto field : value.get_object()) {
                if (!text.empty()) text += ", ";
                text += heading(field.key) + " " + inline_text(field.key, field.value);
            }
            return text.empty() ? "none" : text;
        }
        default:
            break;
    }
    const double number = value.get_double();  // converts any number
    if (key == "seconds" || has_suffix(key, "Seconds")) return human_duration(number);
    if (key == "bytes" || has_suffix(key, "Bytes")) return human_size(number);
    if (value.is_int64()) return std::to_string(value.get_int64().value());
    if (value.is_uint64()) return std::to_string(value.get_uint64().value());
    return fmt::format("{:.6g}", number);
}

/// An array whose elements fit on one line.
bool fits_a_line(const dom::element& value) {
    if (is_plain(value)) return true;
    if (!value.is_array()) return false;
    const dom::array items = value.get_array();
    return std::all_of(items.begin(), items.end(), [](const dom::element& item) { return is_plain(item); });
}

/// A few scalar members are shown on one line.
bool is_short(const dom::element& value, std::size_t limit) {
    if (!value.is_object()) return false;
    const dom::object object = value.get_object();
    return std::all_of(object.begin(), object.end(), [](const auto& field) { return is_plain(field.value); }) &&
           inline_text({}, value).size() <= limit;
}

bool fits_a_cell(const dom::element& value) {
    return fits_a_line(value) || is_short(value, 80);
}

class Renderer {
  public:
    explicit Renderer(const RenderOptions& options) : options_(options) {}

    std::string document(const dom::element& root) {
        value(root, 0);
        return std::move(out_);
    }

  private:
    void value(const dom::element& element, std::size_t indent) {
        if (is_list_of_objects(element)) {
            table(element.get_array(), indent);
        } else if (element.is_object()) {
            object(element.get_object(), indent);
        } else {
            if (!element.is_null()) line(indent, inline_text({}, element));
        }
    }

    void object(const dom::object& object, std::size_t indent) {
        std::size_t width = 0;
        for (const auto field : object) {
            if (fits_a_line(field.value)) width = std::max(width, text_width(heading(field.key)));
        }
        for (const auto field : object) {
            if (!fits_a_line(field.value)) continue;
            const std::string name = heading(field.key) + ":";
            std::string text = inline_text(field.key, field.value);
            // Further lines of a text (a report) are aligned with its first one.
            const std::string margin = "\n" + std::string(indent + width + 3, ' ');
            for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + margin.size())) {
                text.replace(at, 1, margin);
            }
            line(indent, pad(name, width + 1) + "  " + text);
        }
        for (const auto field : object) {
            if (fits_a_line(field.value) || is_empty(field.value)) continue;
            if (indent == 0 && !out_.empty()) out_ += '\n';
            title(indent, heading(field.key));
            value(field.value, indent + 2);
        }
    }

    void table(const dom::array& rows, std::size_t indent) {
        std::vector<std::string_view> keys, too_large;
        const auto holds = [](const auto& list, std::string_view key) {
            return std::find(list.begin(), list.end(), key) != list.end();
        };
        for (const dom::element row : rows) {
            for (const auto field : row.get_object()) {
                if (is_empty(field.value)) continue;
                if (!fits_a_cell(field.value)) {
                    if (!holds(too_large, field.key)) too_large.push_back(field.key);
                } else if (!holds(keys, field.key)) {
                    keys.push_back(field.key);
                }
            }
        }
        const auto moved = [&](std::string_view key) { return holds(too_large, key); };
        keys.erase(std::remove_if(keys.begin(), keys.end(), moved), keys.end());
        Table table(options_.colours);
        for (const std::string_view key : keys) table.column(heading(key));
        for (const dom::element row : rows) {
            for (const std::string_view key : keys) {
                dom::element cell;
                if (row.at_key(key).get(cell) != simdjson::SUCCESS) {
                    table.cell("-", false);
                } else {
                    std::string text = inline_text(key, cell);
                    std::replace(text.begin(), text.end(), '\n', ' ');
                    table.cell(std::move(text), cell.is_number());
                }
            }
        }
        if (!keys.empty()) out_ += table.to_string(indent);
        if (too_large.empty()) return;
        for (const dom::element row : rows) details(row.get_object(), too_large, indent);
    }

    /// Prints the members that did not fit into the row of a table.
    void details(const dom::object& row, const std::vector<std::string_view>& keys, std::size_t indent) {
        const auto is_detail = [&](const dom::key_value_pair& field) {
            return !is_empty(field.value) && std::find(keys.begin(), keys.end(), field.key) != keys.end();
        };
        bool any = false;
        for (const auto field : row) any = any || is_detail(field);
        if (!any) return;
        out_ += '\n';
        for (const auto field : row) {
            if (!is_plain(field.value)) continue;
            title(indent, inline_text(field.key, field.value));  // the first scalar member identifies the row
            break;
        }
        for (const auto field : row) {
            if (!is_detail(field)) continue;
            if (fits_a_line(field.value) || is_short(field.value, 90)) {
                line(indent + 2, heading(field.key) + ": " + inline_text(field.key, field.value));
            } else {
                line(indent + 2, heading(field.key) + ":");
                value(field.value, indent + 4);
            }
        }
    }

    void title(std::size_t indent, const std::string& text) {
        line(indent, options_.colours ? "\x1b[1m" + text + ":\x1b[0m" : text + ":");
    }
    void line(std::size_t indent, std::string_view text) {
        out_.append(indent, ' ').append(text);
        out_ += '\n';
    }

    RenderOptions options_;
    std::string out_;
};

}  // namespace

std::string human_duration(double seconds) {
    const double size = std::fabs(seconds);
    if (size == 0) return "0 s";
    if (size < 1e-3) return fmt::format("{:.3g} us", seconds * 1e6);
    if (size < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
    if (size < 60) return fmt::format("{:.3g} s", seconds);
    if (size > 1e12) return fmt::format("{:.6g} s", seconds);
    const auto whole = static_cast<std::int64_t>(std::llround(size));
    const std::int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60, rest = whole % 60;
    const char* sign = seconds < 0 ? "-" : "";
    if (days > 0) return fmt::format("{}{}d {}h {}m", sign, days, hours, minutes);
    if (hours > 0) return fmt::format("{}{}h {}m {}s", sign, hours, minutes, rest);
    return fmt::format("{}{}m {}s", sign, minutes, rest);
}

std::string human_size(double bytes) {
    constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    while (std::fabs(bytes) >= 1024 && unit + 1 < std::size(units)) {
        bytes /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{:.6g} B", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string render(std::string_view json, const RenderOptions& options) {
    dom::parser parser;
    dom::element root;
    if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return printable(json) + "\n";
    return Renderer(options).document(root);
}

}  // namespace flowd::core::cli
