// SPDX-License-Identifier: Apache-2.0
// flowd/printable.hpp: text of foreign origin for terminals, logs and tables. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowd {

/// Length of the well-formed UTF-8 sequence at the front (Unicode table 3-7), 0 if there is none.
[[nodiscard]] constexpr std::size_t utf8_length(std::string_view text) {
    const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto tail = [&](std::size_t i) { return (at(i) & 0xc0u) == 0x80u; };
    const unsigned lead = at(0), next = at(1);
    if (lead < 0x80) return text.empty() ? 0 : 1;
    if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        if (!tail(1) || !tail(2) || (lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f)) return 0;
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        if (!tail(1) || !tail(2) || !tail(3) || (lead == 0xf0 && next < 0x90) || (lead == 0xf4 && next > 0x8f)) return 0;
        return 4;
    }
    return 0;
}

/// The character of a well-formed sequence.
[[nodiscard]] constexpr char32_t utf8_character(std::string_view sequence) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
    char32_t value = sequence.size() == 1 ? at(0) : at(0) & (0xffu >> (sequence.size() + 1));
    for (std::size_t i = 1; i < sequence.size(); ++i) value = value << 6 | (at(i) & 0x3fu);
    return value;
}

/// Characters that change how a terminal or a browser shows the text around them: C0 and C1 controls, DEL, marks and
/// overrides of the writing direction, line and paragraph separators, the byte order mark.
[[nodiscard]] constexpr bool is_control(char32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

/// `text` with each such character, and each byte that is not UTF-8, escaped: \x1b, \u202e. `keep`: one that is left as it
/// is, such as a line break.
[[nodiscard]] inline std::string printable(std::string_view text, char keep = '\0') {
    constexpr char hex[] = "0123456789abcdef";
    std::string safe;
    safe.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const char32_t c = length == 0 ? static_cast<unsigned char>(text.front()) : utf8_character(text.substr(0, length));
        const std::size_t used = length == 0 ? 1 : length;
        if ((length == 1 && keep != '\0' && text.front() == keep) || (length > 0 && !is_control(c))) {
            safe.append(text.substr(0, used));
        } else {
            safe.append(c > 0xff ? "\\u" : "\\x");
            for (int shift = c > 0xff ? 12 : 4; shift >= 0; shift -= 4) safe.push_back(hex[c >> shift & 15]);
        }
        text.remove_prefix(used);
    }
    return safe;
}

}  // namespace flowd
