// SPDX-License-Identifier: Apache-2.0
// flowd/number.hpp: a whole number from text. Pure function, any thread.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

namespace flowd {

/// The number that all of `text` is: digits of `base`, with a minus sign if T is signed, without blanks or a prefix.
/// Nothing if `text` is anything else, empty, or out of the range of T.
template <std::integral T>
[[nodiscard]] std::optional<T> whole_number(std::string_view text, int base = 10) {
    T number{};
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number, base);
    if (error != std::errc() || end != last) return std::nullopt;
    return number;
}

}  // namespace flowd
