// SPDX-License-Identifier: Apache-2.0
// lib/text/escaped.hpp: bytes from elsewhere as text that can be shown. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

namespace flowd::text {

/// Visible ASCII and blanks as they are, every other byte and the backslash as \\xNN.
[[nodiscard]] inline std::string escaped(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size());
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= ' ' && byte <= '~' && byte != '\\')
            text.push_back(c);
        else
            text.append({'\\', 'x', digits[byte >> 4], digits[byte & 15u]});
    }
    return text;
}

}  // namespace flowd::text
