// SPDX-License-Identifier: Apache-2.0
// lib/text/words.hpp: case-insensitive comparison. Pure, any thread.
#pragma once

#include <algorithm>
#include <string_view>

namespace flowd::text {

/// Equal, ignoring the case of ASCII letters.
[[nodiscard]] constexpr bool same_word(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace flowd::text
