// SPDX-License-Identifier: Apache-2.0
// lib/text/utf8.hpp: UTF-8 text that has to fit. Pure, any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace flowd::text {

/// The beginning of UTF-8 text, at most `size` bytes and no part of a character.
[[nodiscard]] constexpr std::string_view cut(std::string_view text, std::size_t size) {
    if (text.size() <= size) return text;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0u) == 0x80u) --size;
    return text.substr(0, size);
}

}  // namespace flowd::text
