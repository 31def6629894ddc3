// SPDX-License-Identifier: Apache-2.0
// flowd/testing/config.hpp: the options of an instance, from pairs of path and text instead of YAML. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <initializer_list>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/module.h"
#include "flowd/abi/option.h"
#include "flowd/address.hpp"
#include "flowd/sized.hpp"

namespace flowd::testing {

/// Builds the flowd_value tree as the core would, with defaults and aliases. It does not check ranges,
/// but throws std::invalid_argument for a path that is in no table and for a text that is not a value of
/// the option's type.
///   Config config(component);  config.set("port", "10514").set("receivers[0].host", "::1").set("map[key]", "value");
class Config {
  public:
    explicit Config(const flowd_component& component)
        : Config(component.options, component.option_count, component.option_stride) {}
    Config(const flowd_option* rows, std::size_t count, std::size_t stride) : rows_(rows, count, stride) {}

    Config& set(std::string path, std::string text) {
        texts_[std::move(path)] = std::move(text);
        return *this;
    }
    /// A list of scalars.
    Config& set(const std::string& path, std::initializer_list<const char*> items) {
        std::size_t index = 0;
        for (const char* item : items) set(path + "[" + std::to_string(index++) + "]", item);
        if (items.size() == 0) set(path, "[]");
        return *this;
    }

    /// Valid until set() or value() is called again, or this object is destroyed.
    const flowd_value& value() {
        kept_.clear();
        arrays_.clear();
        used_.clear();
        root_ = make(FLOWD_OPTION_GROUP, true);
        root_ = group(rows_, "", true);
        for (const auto& [path, text] : texts_)
            if (used_.count(path) == 0) throw std::invalid_argument("no option '" + path + "' of that form in the table");
        return root_;
    }

  private:
    using Rows = SizedRange<flowd_option>;

    static flowd_value make(std::uint32_t type, bool written) {
        flowd_value value{};
        value.size = sizeof value;
        value.type = type;
        value.flags = FLOWD_VALUE_PRESENT | (written ? std::uint32_t(FLOWD_VALUE_WRITTEN) : 0u);
        return value;
    }
    static flowd_value absent(std::uint32_t type) {
        flowd_value value{};
        value.size = sizeof value;
        value.type = type;
        return value;
    }
    flowd_string keep(std::string text) { return to_c(kept_.emplace_back(std::move(text))); }
    flowd_value with_items(flowd_value value, std::vector<flowd_value> items) {
        const auto& stored = arrays_.emplace_back(std::move(items));
        value.items = stored.data();
        value.item_count = stored.size();
        value.item_stride = sizeof(flowd_value);
        return value;
    }

    /// Whether something is set at `path` or below it.
    [[nodiscard]] bool mentions(const std::string& path) const {
        const auto at = texts_.lower_bound(path);
        for (auto it = at; it != texts_.end() && it->first.compare(0, path.size(), path) == 0; ++it) {
            if (it->first.size() == path.size() || it->first[path.size()] == '.' || it->first[path.size()] == '[')
                return true;
        }
        return false;
    }

    flowd_value group(const Rows& rows, const std::string& prefix, bool written) {
        std::vector<flowd_value> items;
        for (const flowd_option& row : rows) {
            std::string path = prefix + row.name;
            for (auto alias = row.aliases; alias != nullptr && *alias != nullptr; ++alias)
                if (!mentions(path) && mentions(prefix + *alias)) path = prefix + *alias;
            items.push_back(option(row, path, row.default_text));
        }
        return with_items(make(FLOWD_OPTION_GROUP, written), std::move(items));
    }

    flowd_value option(const flowd_option& row, const std::string& path, const char* fallback) {
        const bool written = mentions(path);
        const auto found = texts_.find(path);
        if (found != texts_.end()) used_.insert(path);
        switch (row.type) {
            case FLOWD_OPTION_GROUP:
                return group(Rows(row.fields, row.field_count, row.field_stride), path.empty() ? path : path + ".",
                             written);
            case FLOWD_OPTION_LIST:
                return list(row, path, fallback);
            case FLOWD_OPTION_MAP:
                return map(row, path);
            default:
                break;
        }
        if (found != texts_.end()) return scalar(row, path, found->second, true);
        if (fallback != nullptr) return scalar(row, path, fallback, false);
        return absent(row.type);
    }

    flowd_value list(const flowd_option& row, const std::string& path, const char* fallback) {
        std::vector<flowd_value> items;
        const auto whole = texts_.find(path);
        const bool written = mentions(path);
        if (whole != texts_.end() || (!written && fallback != nullptr)) {
            for (const auto& word : words(whole != texts_.end() ? whole->second : fallback))
                items.push_back(scalar(*row.fields, path, word, written));
        } else if (written) {
            for (std::size_t i = 0; mentions(path + "[" + std::to_string(i) + "]"); ++i)
                items.push_back(option(*row.fields, path + "[" + std::to_string(i) + "]", nullptr));
        } else {
            return absent(row.type);
        }
        return with_items(make(row.type, written), std::move(items));
    }

    flowd_value map(const flowd_option& row, const std::string& path) {
        std::vector<flowd_value> items;
        std::set<std::string> keys;
        const std::string start = path + "[";
        for (const auto& [at, text] : texts_) {
            if (at.compare(0, start.size(), start) != 0) continue;
            keys.insert(at.substr(start.size(), at.find(']', start.size()) - start.size()));
        }
        if (keys.empty() && texts_.count(path) == 0) return absent(row.type);
        for (const auto& key : keys) {
            flowd_value item = option(*row.fields, start + key + "]", nullptr);
            item.key = keep(key);
            items.push_back(item);
        }
        return with_items(make(row.type, true), std::move(items));
    }

    /// "[a, b]" as its items; "{}" and "[]" are empty.
    static std::vector<std::string> words(std::string_view text) {
        std::vector<std::string> out;
        if (text.size() >= 2 && (text.front() == '[' || text.front() == '{')) text = text.substr(1, text.size() - 2);
        while (!text.empty()) {
            const auto comma = text.find(',');
            std::string_view word = text.substr(0, comma);
            while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
            while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
            if (!word.empty()) out.emplace_back(word);
            text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
        }
        return out;
    }

    [[noreturn]] static void refuse(const std::string& path, const std::string& text, const char* wanted) {
        throw std::invalid_argument(path + ": '" + text + "' is not " + wanted);
    }
    /// A number and the text after it.
    static std::pair<double, std::string> number(const std::string& path, const std::string& text) {
        char* end = nullptr;
        const double parsed = std::strtod(text.c_str(), &end);
        if (end == text.c_str()) refuse(path, text, "a number");
        std::string rest(end);
        while (!rest.empty() && rest.front() == ' ') rest.erase(0, 1);
        return {parsed, rest};
    }
    static std::int64_t whole(const std::string& path, const std::string& text) {
        char* end = nullptr;
        const long long parsed = std::strtoll(text.c_str(), &end, 0);
        if (end == text.c_str() || *end != '\0') refuse(path, text, "an integer");
        return parsed;
    }
    static std::int64_t factor(const std::string& path, const std::string& text, const std::string& unit,
                               const std::map<std::string, std::int64_t>& units) {
        const auto found = units.find(unit);
        if (found == units.end()) refuse(path, text, "in a known unit");
        return found->second;
    }

    flowd_value scalar(const flowd_option& row, const std::string& path, const std::string& text, bool written) {
        static const std::map<std::string, std::int64_t> durations{{"ns", 1},
                                                                   {"us", 1'000},
                                                                   {"ms", 1'000'000},
                                                                   {"s", 1'000'000'000},
                                                                   {"min", 60'000'000'000},
                                                                   {"h", 3'600'000'000'000}};
        static const std::map<std::string, std::int64_t> sizes{
            {"", 1},          {"B", 1},      {"KiB", 1 << 10},  {"MiB", 1 << 20},
            {"GiB", 1 << 30}, {"kB", 1'000}, {"MB", 1'000'000}, {"GB", 1'000'000'000}};
        flowd_value value = make(row.type, written);
        value.text = keep(text);
        switch (row.type) {
            case FLOWD_OPTION_BOOLEAN:
                if (text != "true" && text != "false") refuse(path, text, "true or false");
                value.integer = text == "true" ? 1 : 0;
                break;
            case FLOWD_OPTION_INTEGER:
            case FLOWD_OPTION_EXPERIMENT:
            case FLOWD_OPTION_ACTIVITY:
                value.integer = whole(path, text);
                break;
            case FLOWD_OPTION_NUMBER:
                value.number = number(path, text).first;
                break;
            case FLOWD_OPTION_DURATION: {
                const auto [amount, unit] = number(path, text);
                const char* bare = row.unit == nullptr ? "s" : row.unit;
                value.integer = static_cast<std::int64_t>(
                    amount * static_cast<double>(factor(path, text, unit.empty() ? std::string(bare) : unit, durations)));
                break;
            }
            case FLOWD_OPTION_SIZE: {
                const auto [amount, unit] = number(path, text);
                value.integer = static_cast<std::int64_t>(amount * static_cast<double>(factor(path, text, unit, sizes)));
                break;
            }
            case FLOWD_OPTION_ADDRESS: {
                const auto address = Address::parse(text);
                if (!address) refuse(path, text, "an address");
                std::copy(address->bytes().begin(), address->bytes().end(), value.address);
                break;
            }
            case FLOWD_OPTION_NETWORK: {
                const auto network = Network::parse(text);
                if (!network) refuse(path, text, "a network");
                std::copy(network->address.bytes().begin(), network->address.bytes().end(), value.address);
                value.integer = network->length;
                break;
            }
            case FLOWD_OPTION_CHOICE: {
                bool known = false;
                for (auto word = row.choices; word != nullptr && *word != nullptr; ++word) known = known || text == *word;
                if (!known) refuse(path, text, "one of the choices");
                break;
            }
            default:
                break;
        }
        return value;
    }

    Rows rows_;
    std::map<std::string, std::string> texts_;
    std::set<std::string> used_;
    std::deque<std::string> kept_;
    std::deque<std::vector<flowd_value>> arrays_;
    flowd_value root_{};
};

}  // namespace flowd::testing
