// SPDX-License-Identifier: Apache-2.0
// lib/text/utf8.hpp: truncation of UTF-8 text. Pure, any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace flowd::text {

/// The longest prefix of at most `size` bytes that does not end within a character.
[[nodiscard]] constexpr std::string_view cut(std::string_view text, std::size_t size) {
    if (text.size() <= size) return text;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0u) == 0x80u) --size;
    return text.substr(0, size);
}

}  // namespace flowd::text
