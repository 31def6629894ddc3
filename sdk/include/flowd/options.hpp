// SPDX-License-Identifier: Apache-2.0
// flowd/options.hpp: the options of a component, declared once and bound to a struct.
//
//   struct Options {
//       std::string bind_address;
//       std::uint16_t port = 0;
//       std::vector<Receiver> receivers;  // Receiver has a table() of its own
//       static const flowd::Table<Options>& table();
//   };
//   const flowd::Table<Options>& Options::table() {
//       static const flowd::Table<Options> table{
//           flowd::option("bindAddress", &Options::bind_address).aliases({"address"})
//               .default_value("127.0.0.1").doc("..."),
//           flowd::option("port", &Options::port).default_value(10514).doc("..."),
//           flowd::option("receivers", &Options::receivers).doc("..."),
//       return table;
//   }
//
// The type of the member determines the type of the option: bool; integers (bounded by their type); double; std::string;
// std::filesystem::path; chrono durations (a bare number is in the duration's own unit); Address; Network; a struct
// with a table(); std::vector of any of these (a list); std::map<std::string, ...> of any of these; std::optional of any of
// these (empty if the option is absent; for a group: if it is not configured). Without optional, an absent option leaves
// the member as the struct initialised it. Enums: choice(). Tables are static and immutable after construction.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "flowd/abi/option.h"
#include "flowd/address.hpp"
#include "flowd/result.hpp"
#include "flowd/sized.hpp"

namespace flowd {

template <typename S>
class Table;

namespace detail {

/// The values of a choice, with the values of its enum.
using Words = std::vector<std::pair<const char*, std::int64_t>>;

template <typename T>
concept Group = requires {
    { T::table() } -> std::same_as<const Table<T>&>;
};

template <typename T>
struct DurationTraits : std::false_type {};
template <typename Rep, typename Period>
struct DurationTraits<std::chrono::duration<Rep, Period>> : std::true_type {
    static constexpr const char* unit() {
        if constexpr (std::is_same_v<Period, std::nano>) return "ns";
        if constexpr (std::is_same_v<Period, std::micro>) return "us";
        if constexpr (std::is_same_v<Period, std::milli>) return "ms";
        if constexpr (std::is_same_v<Period, std::ratio<60>>) return "min";
        if constexpr (std::is_same_v<Period, std::ratio<3600>>) return "h";
        return "s";
    }
};

template <typename T>
struct Element {  // the innermost type of lists, maps and optionals
    using type = T;
};
template <typename T>
struct Element<std::vector<T>> : Element<T> {};
template <typename T>
struct Element<std::map<std::string, T>> : Element<T> {};
template <typename T>
struct Element<std::optional<T>> : Element<T> {};

/// Declares and reads one C++ type. Specialised below.
template <typename V>
struct Binding;

inline Error does_not_fit(const flowd_value& value) {
    return Error{FLOWD_INVALID, "the value " + std::to_string(value.integer) + " does not fit its option"};
}

template <typename V>
Result<void> read_value(const flowd_value& value, V& out, const Words& words) {
    if ((value.flags & FLOWD_VALUE_PRESENT) == 0) return {};
    return Binding<V>::read(value, out, words);
}

/// `rows` is the chain from the option to its innermost item: an option that is neither a list nor a map has one row.
inline flowd_option& leaf(std::vector<flowd_option>& rows, std::uint32_t type) {
    rows.back().type = type;
    return rows.back();
}

template <typename V>
Result<void> read_items(const flowd_value& value, const Words& words, const std::function<V&(const flowd_value&)>& slot) {
    std::size_t index = 0;
    for (const flowd_value& item : SizedRange<flowd_value>(value.items, value.item_count, value.item_stride)) {
        if (auto read = read_value(item, slot(item), words); !read)
            return std::move(read).error().within("[" + std::to_string(index) + "]");
        ++index;
    }
    return {};
}

template <>
struct Binding<bool> {
    static void declare(std::vector<flowd_option>& rows) { leaf(rows, FLOWD_OPTION_BOOLEAN); }
    static Result<void> read(const flowd_value& value, bool& out, const Words&) {
        out = value.integer != 0;
        return {};
    }
};

template <std::integral V>
struct Binding<V> {
    static void declare(std::vector<flowd_option>& rows) {
        auto& row = leaf(rows, FLOWD_OPTION_INTEGER);
        if constexpr (std::is_unsigned_v<V> || sizeof(V) < sizeof(std::int64_t)) {
            constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<V>::max());
            row.flags |= FLOWD_OPTION_MINIMUM;
            row.minimum = static_cast<double>(std::numeric_limits<V>::min());
            if constexpr (most < static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
                row.flags |= FLOWD_OPTION_MAXIMUM;
                row.maximum = static_cast<double>(most);
            }
        }
    }
    static Result<void> read(const flowd_value& value, V& out, const Words&) {
        if (!std::in_range<V>(value.integer)) return does_not_fit(value);
        out = static_cast<V>(value.integer);
        return {};
    }
};

template <std::floating_point V>
struct Binding<V> {
    static void declare(std::vector<flowd_option>& rows) { leaf(rows, FLOWD_OPTION_NUMBER); }
    static Result<void> read(const flowd_value& value, V& out, const Words&) {
        out = static_cast<V>(value.number);
        return {};
    }
};

template <>
struct Binding<std::string> {
    static void declare(std::vector<flowd_option>& rows) { leaf(rows, FLOWD_OPTION_STRING); }
    static Result<void> read(const flowd_value& value, std::string& out, const Words&) {
        out = std::string(to_view(value.text));
        return {};
    }
};

template <>
struct Binding<std::filesystem::path> {
    static void declare(std::vector<flowd_option>& rows) { leaf(rows, FLOWD_OPTION_PATH); }
    static Result<void> read(const flowd_value& value, std::filesystem::path& out, const Words&) {
        out = std::filesystem::path(std::string(to_view(value.text)));
        return {};
    }
};

template <typename V>
requires std::is_enum_v<V>
struct Binding<V> {
    static void declare(std::vector<flowd_option>& rows) { leaf(rows, FLOWD_OPTION_CHOICE); }
    static Result<void> read(const flowd_value& value, V& out, const Words& words) {
        for (const auto& [word, number] : words) {
            if (to_view(value.text) != word) continue;
            out = static_cast<V>(number);
            return {};
        }
        return Error{FLOWD_INVALID, "'" + std::string(to_view(value.text)) + "' is none of the allowed words"};
    }
};

template <typename V>
requires DurationTraits<V>::value struct Binding<V> {
    static void declare(std::vector<flowd_option>& rows) {
        auto& row = leaf(rows, FLOWD_OPTION_DURATION);
        row.unit = DurationTraits<V>::unit();  // the core refuses negative durations
    }
    static Result<void> read(const flowd_value& value, V& out, const Words&) {
        out = std::chrono::duration_cast<V>(std::chrono::nanoseconds(value.integer));
        return {};
    }
};

template <>
struct Binding<Address> {
    static void declare(std::vector<flowd_option>& rows) { leaf(rows, FLOWD_OPTION_ADDRESS); }
    static Result<void> read(const flowd_value& value, Address& out, const Words&) {
        out = Address(value.address);
        return {};
    }
};

template <>
struct Binding<Network> {
    static void declare(std::vector<flowd_option>& rows) { leaf(rows, FLOWD_OPTION_NETWORK); }
    static Result<void> read(const flowd_value& value, Network& out, const Words&) {
        if (value.integer < 0 || value.integer > 128) return does_not_fit(value);
        out = Network{Address(value.address), static_cast<std::uint8_t>(value.integer)};
        return {};
    }
};

template <Group V>
struct Binding<V> {
    static void declare(std::vector<flowd_option>& rows) {
        auto& row = leaf(rows, FLOWD_OPTION_GROUP);
        row.fields = V::table().rows();
        row.field_count = V::table().size();
        row.field_stride = sizeof(flowd_option);
    }
    static Result<void> read(const flowd_value& value, V& out, const Words&) { return V::table().read(value, out); }
};

template <typename V>
struct Binding<std::vector<V>> {
    static void declare(std::vector<flowd_option>& rows) {
        leaf(rows, FLOWD_OPTION_LIST);
        rows.push_back({});
        Binding<V>::declare(rows);
    }
    static Result<void> read(const flowd_value& value, std::vector<V>& out, const Words& words) {
        if constexpr (std::is_same_v<V, bool>) {
            out.clear();
            for (const flowd_value& item : SizedRange<flowd_value>(value.items, value.item_count, value.item_stride))
                out.push_back(item.integer != 0);
            return {};
        } else {
            out.clear();
            return read_items<V>(value, words, [&out](const flowd_value&) -> V& { return out.emplace_back(); });
        }
    }
};

template <typename V>
struct Binding<std::map<std::string, V>> {
    static void declare(std::vector<flowd_option>& rows) {
        leaf(rows, FLOWD_OPTION_MAP);
        rows.push_back({});
        Binding<V>::declare(rows);
    }
    static Result<void> read(const flowd_value& value, std::map<std::string, V>& out, const Words& words) {
        out.clear();
        return read_items<V>(value, words,
                             [&out](const flowd_value& item) -> V& { return out[std::string(to_view(item.key))]; });
    }
};

template <typename V>
struct Binding<std::optional<V>> {
    static void declare(std::vector<flowd_option>& rows) { Binding<V>::declare(rows); }
    static Result<void> read(const flowd_value& value, std::optional<V>& out, const Words& words) {
        out.reset();
        // A group is present if one of its options has a default, but its author asks whether it was configured.
        if (value.type == FLOWD_OPTION_GROUP && (value.flags & FLOWD_VALUE_WRITTEN) == 0) return {};
        return Binding<V>::read(value, out.emplace(), words);
    }
};

}  // namespace detail

/// One row under construction. Modifiers set its members; those of a list's or map's items apply to the items.
template <typename S>
class Option {
  public:
    template <typename V>
    Option(const char* name, V S::*member, detail::Words words)
        : read_(
              [member, words](const flowd_value& value, S& out) { return detail::read_value(value, out.*member, words); }) {
        rows_.push_back({});
        detail::Binding<V>::declare(rows_);
        rows_.front().name = name;
        for (const auto& [word, number] : words) choices_.push_back(word);
    }

    Option& doc(const char* line) { return set(&flowd_option::doc, line); }
    Option& aliases(std::initializer_list<const char*> names) {
        aliases_ = names;
        return *this;
    }
    /// As it would be written in YAML.
    Option& default_value(std::string_view text) {
        default_ = std::string(text);
        return *this;
    }
    Option& default_value(const char* text) { return default_value(std::string_view(text)); }
    Option& default_value(bool flag) { return default_value(std::string_view(flag ? "true" : "false")); }
    template <std::integral T>
    Option& default_value(T number) {
        return default_value(std::string_view(std::to_string(number)));
    }
    Option& required() { return flag(FLOWD_OPTION_REQUIRED); }
    Option& secret() { return flag(FLOWD_OPTION_SECRET); }
    /// Marks an option as deprecated: it still works, with a warning that names the other.
    Option& deprecated_by(const char* other) { return set(&flowd_option::deprecated_by, other); }
    /// Unit of a bare number: "ns", "us", "ms", "s", "min", "h"; other texts are for the documentation.
    Option& unit(const char* name) {
        rows_.back().unit = name;
        return *this;
    }
    /// Bounds, inclusive. Those of a duration are std::chrono::duration.
    template <typename B>
    Option& at_least(B minimum) {
        return bound(rows_.back(), FLOWD_OPTION_MINIMUM, number(minimum));
    }
    template <typename B>
    Option& at_most(B maximum) {
        return bound(rows_.back(), FLOWD_OPTION_MAXIMUM, number(maximum));
    }
    template <typename B, typename C>
    Option& range(B minimum, C maximum) {
        return at_least(minimum).at_most(maximum);
    }
    /// The number of items of a list or map, inclusive.
    Option& length(std::size_t minimum, std::size_t maximum) {
        bound(rows_.front(), FLOWD_OPTION_MINIMUM, static_cast<double>(minimum));
        return bound(rows_.front(), FLOWD_OPTION_MAXIMUM, static_cast<double>(maximum));
    }
    /// A string that may also be written as NAMEFile: the first line of that file.
    Option& or_file() { return flag(FLOWD_OPTION_FILE); }
    /// A string that must be one of `words`.
    Option& choices(std::initializer_list<const char*> words) {
        choices_ = words;
        return type(FLOWD_OPTION_CHOICE);
    }
    Option& host() { return type(FLOWD_OPTION_HOST); }              ///< a string: host name or address literal
    Option& path() { return type(FLOWD_OPTION_PATH); }              ///< a string: absolute file name
    Option& byte_size() { return type(FLOWD_OPTION_SIZE); }         ///< an integer: "4 MiB"
    Option& experiment() { return type(FLOWD_OPTION_EXPERIMENT); }  ///< an integer: id or name in the registry
    Option& activity() { return type(FLOWD_OPTION_ACTIVITY); }      ///< an integer: id or name in the registry
    /// A path to code, or to data that controls it: it and its parents must be root's and not writable by others.
    Option& trusted() { return path().flag(FLOWD_OPTION_TRUSTED); }

  private:
    friend class Table<S>;

    Option& set(const char* flowd_option::*member, const char* text) {
        rows_.front().*member = text;
        return *this;
    }
    template <typename B>
    static double number(B bound) {
        if constexpr (requires { bound.count(); })
            return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(bound).count());
        else
            return static_cast<double>(bound);
    }
    Option& bound(flowd_option& row, std::uint32_t bit, double value) {
        row.flags |= bit;
        (bit == FLOWD_OPTION_MINIMUM ? row.minimum : row.maximum) = value;
        return *this;
    }
    Option& flag(std::uint32_t bit) {
        rows_.front().flags |= bit;
        if (bit != FLOWD_OPTION_REQUIRED) rows_.back().flags |= bit;
        return *this;
    }
    Option& type(std::uint32_t type) {
        rows_.back().type = type;
        return *this;
    }
    /// Sets the pointers of the C rows to what this object owns. It must not be moved afterwards.
    const flowd_option& finish() {
        if (!aliases_.empty()) {
            aliases_.push_back(nullptr);
            rows_.front().aliases = aliases_.data();
        }
        if (!choices_.empty()) {
            choices_.push_back(nullptr);
            rows_.back().choices = choices_.data();
        }
        if (default_) rows_.front().default_text = default_->c_str();
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            auto& row = rows_[i];
            row.size = sizeof row;
            if (row.doc == nullptr) row.doc = "";
            if (row.name == nullptr) row.name = "";
            if (i + 1 == rows_.size()) break;
            row.fields = &rows_[i + 1];
            row.field_count = 1;
            row.field_stride = sizeof(flowd_option);
        }
        return rows_.front();
    }

    std::vector<flowd_option> rows_;
    std::vector<const char*> aliases_;
    std::vector<const char*> choices_;
    std::optional<std::string> default_;
    std::function<Result<void>(const flowd_value&, S&)> read_;
};

template <typename S, typename V>
[[nodiscard]] Option<S> option(const char* name, V S::*member) {
    static_assert(!std::is_enum_v<typename detail::Element<V>::type>, "an enum is declared by flowd::choice");
    return Option<S>(name, member, {});
}

/// An enum, or a list, map or optional of one:  flowd::choice("mode", &Options::mode, {{"mark", Mode::mark}, ...})
template <typename S, typename V>
[[nodiscard]] Option<S> choice(const char* name, V S::*member,
                               std::initializer_list<std::pair<const char*, typename detail::Element<V>::type>> words) {
    detail::Words numbers;
    for (const auto& [word, value] : words) numbers.emplace_back(word, static_cast<std::int64_t>(value));
    return Option<S>(name, member, std::move(numbers));
}

/// The options of S: the rows for the core, and reading the values from the core.
template <typename S>
class Table {
  public:
    Table(std::initializer_list<Option<S>> options) : options_(options) {
        for (auto& option : options_) rows_.push_back(option.finish());
    }
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    [[nodiscard]] const flowd_option* rows() const { return rows_.data(); }
    [[nodiscard]] std::size_t size() const { return rows_.size(); }

    /// Fills `out` from a GROUP in the order of the rows. Fails only if the core passed a value that the rows do not allow.
    Result<void> read(const flowd_value& group, S& out) const {
        const SizedRange<flowd_value> items(group.items, group.item_count, group.item_stride);
        std::size_t row = 0;
        for (const flowd_value& item : items) {
            if (row == options_.size()) break;
            if (auto read = options_[row].read_(item, out); !read) return std::move(read).error().within(rows_[row].name);
            ++row;
        }
        return {};
    }
    [[nodiscard]] Result<S> read(const flowd_value& group) const {
        S out{};
        if (auto done = read(group, out); !done) return std::move(done).error();
        return out;
    }

  private:
    std::vector<Option<S>> options_;
    std::vector<flowd_option> rows_;
};

}  // namespace flowd
