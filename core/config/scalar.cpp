// SPDX-License-Identifier: Apache-2.0
#include "core/config/scalar.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

struct Unit {
    std::string_view name;
    std::int64_t factor;
};

constexpr std::array<Unit, 10> duration_units{{{"ns", 1},
                                               {"us", 1'000},
                                               {"\xc2\xb5s", 1'000},  // U+00B5, which Go prints
                                               {"ms", 1'000'000},
                                               {"s", 1'000'000'000},
                                               {"m", 60'000'000'000},
                                               {"min", 60'000'000'000},
                                               {"h", 3'600'000'000'000},
                                               {"d", 86'400'000'000'000},
                                               {"\xce\xbcs", 1'000}}};  // U+03BC, which looks the same

constexpr std::array<Unit, 9> size_units{{{"B", 1},
                                          {"kB", 1'000},
                                          {"MB", 1'000'000},
                                          {"GB", 1'000'000'000},
                                          {"TB", 1'000'000'000'000},
                                          {"KiB", 1ll << 10},
                                          {"MiB", 1ll << 20},
                                          {"GiB", 1ll << 30},
                                          {"TiB", 1ll << 40}}};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string_view take_spaces(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

/// Removes the leading digits and returns them.
std::string_view take_digits(std::string_view& text) {
    std::size_t length = 0;
    while (length < text.size() && is_digit(text[length])) ++length;
    const auto digits = text.substr(0, length);
    text.remove_prefix(length);
    return digits;
}

/// Removes a possible unit from the front and returns it: up to the next digit, sign, point or space.
std::string_view take_unit(std::string_view& text) {
    std::size_t length = 0;
    while (length < text.size() && !is_digit(text[length]) && text[length] != ' ' && text[length] != '.' &&
           text[length] != '-')
        ++length;
    const auto unit = text.substr(0, length);
    text.remove_prefix(length);
    return unit;
}

Scalar<std::int64_t> whole(std::string_view digits) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc::result_out_of_range) return {0, ScalarError::overflow};
    if (error != std::errc() || end != digits.data() + digits.size()) return {0, ScalarError::form};
    return {value, ScalarError::none};
}

/// digits.fraction times factor; fractions of a nanosecond are truncated.
Scalar<std::int64_t> scaled(std::string_view digits, std::string_view fraction, std::int64_t factor) {
    auto value = whole(digits);
    if (!value.ok()) return value;
    if (__builtin_mul_overflow(value.value, factor, &value.value)) return {0, ScalarError::overflow};
    for (const char digit : fraction) {
        factor /= 10;
        if (__builtin_add_overflow(value.value, factor * (digit - '0'), &value.value)) return {0, ScalarError::overflow};
    }
    return value;
}

}  // namespace

std::optional<bool> parse_boolean(std::string_view text) {
    const std::string lower = lower_case(text);
    if (lower == "true" || lower == "yes" || lower == "on") return true;
    if (lower == "false" || lower == "no" || lower == "off") return false;
    return std::nullopt;
}

Scalar<std::int64_t> parse_integer(std::string_view text) {
    const bool negative = !text.empty() && text.front() == '-';
    std::string_view digits = negative || (!text.empty() && text.front() == '+') ? text.substr(1) : text;
    int base = 10;
    if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
        base = 16;
        digits.remove_prefix(2);
    } else if (digits.size() > 1 && digits[0] == '0') {
        return {0, ScalarError::form};
    }
    std::uint64_t magnitude = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
    if (digits.empty() || (error != std::errc::result_out_of_range && error != std::errc()) ||
        end != digits.data() + digits.size())
        return {0, ScalarError::form};
    const std::uint64_t largest = static_cast<std::uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    if (error == std::errc::result_out_of_range || magnitude > largest) return {0, ScalarError::overflow};
    return {static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude), ScalarError::none};
}

Scalar<double> parse_number(std::string_view text) {
    if (text.empty() || text.size() > 64 || text.find_first_not_of("0123456789+-.eE") != std::string_view::npos)
        return {0, ScalarError::form};
    const std::string terminated(text);
    char* end = nullptr;
    const double value = std::strtod(terminated.c_str(), &end);
    if (end != terminated.c_str() + terminated.size()) return {0, ScalarError::form};
    if (!std::isfinite(value)) return {0, ScalarError::overflow};
    return {value, ScalarError::none};
}

std::optional<std::int64_t> duration_unit(std::string_view unit) {
    for (const Unit& known : duration_units)
        if (known.name == unit) return known.factor;
    return std::nullopt;
}

Scalar<std::int64_t> parse_duration(std::string_view text, std::string_view bare_unit) {
    const bool negative = !text.empty() && text.front() == '-';
    if (negative) text.remove_prefix(1);
    if (text.empty()) return {0, ScalarError::form};
    std::int64_t total = 0;
    for (bool first = true; !text.empty(); first = false) {
        const auto digits = take_digits(text);
        if (digits.empty()) return {0, ScalarError::form};
        std::string_view fraction;
        if (!text.empty() && text.front() == '.') {
            text.remove_prefix(1);
            fraction = take_digits(text);
            if (fraction.empty()) return {0, ScalarError::form};
        }
        text = take_spaces(text);
        auto unit = take_unit(text);
        text = take_spaces(text);
        if (unit.empty()) {
            if (!first || !text.empty()) return {0, ScalarError::form};
            if (bare_unit.empty()) {
                if (digits.find_first_not_of('0') == std::string_view::npos && fraction.empty())
                    return {0, ScalarError::none};
                return {0, ScalarError::no_unit};
            }
            unit = bare_unit;
        }
        const auto factor = duration_unit(unit);
        if (!factor) return {0, ScalarError::form};
        const auto part = scaled(digits, fraction, *factor);
        if (!part.ok()) return part;
        if (__builtin_add_overflow(total, part.value, &total)) return {0, ScalarError::overflow};
    }
    return {negative ? -total : total, ScalarError::none};
}

Scalar<std::int64_t> parse_size(std::string_view text) {
    const auto digits = take_digits(text);
    if (digits.empty()) return {0, ScalarError::form};
    text = take_spaces(text);
    if (text.empty()) return whole(digits);
    for (const Unit& unit : size_units)
        if (unit.name == text) return scaled(digits, {}, unit.factor);
    return {0, ScalarError::form};
}

std::string duration_text(std::int64_t nanoseconds) {
    if (nanoseconds == 0) return "0s";
    for (const std::string_view unit : {"h", "min", "s", "ms", "us"})
        if (const auto factor = *duration_unit(unit); nanoseconds % factor == 0)
            return std::to_string(nanoseconds / factor) + std::string(unit);
    return std::to_string(nanoseconds) + "ns";
}

std::string size_text(std::int64_t bytes) {
    for (const std::string_view name : {"TiB", "GiB", "MiB", "KiB"})
        for (const Unit& unit : size_units)
            if (unit.name == name && bytes != 0 && bytes % unit.factor == 0)
                return std::to_string(bytes / unit.factor) + " " + std::string(name);
    return std::to_string(bytes);
}

std::string number_text(double number) {
    std::array<char, 32> text{};
    for (int digits = 15; digits <= 17; ++digits) {
        std::snprintf(text.data(), text.size(), "%.*g", digits, number);
        if (std::strtod(text.data(), nullptr) == number) break;
    }
    return text.data();
}

}  // namespace flowd::core
