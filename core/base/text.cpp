// SPDX-License-Identifier: Apache-2.0
#include "core/base/text.hpp"

#include <simdjson.h>

#include <fmt/format.h>

#include <algorithm>

#include "flowd/printable.hpp"
#include "flowd/rfc3339.hpp"

namespace flowd::core {

std::string printable(std::string_view text) {
    return flowd::printable(text, '\n');
}

std::string escaped(std::string_view bytes) {
    std::string safe;
    safe.reserve(bytes.size());
    for (const char c : bytes) {
        if (c == '\\')
            safe += "\\\\";
        else if (c >= 0x20 && c < 0x7f)
            safe.push_back(c);
        else
            safe += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return safe;
}

std::string utc_text(std::int64_t unix_time_ns, Fraction fraction) {
    if (unix_time_ns <= 0) return {};
    return rfc3339(unix_time_ns, fraction == Fraction::microseconds ? 6 : 3);
}

bool is_identifier(std::string_view text, std::size_t most, std::string_view further) {
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    return !text.empty() && text.size() <= most && is_letter(text.front()) &&
           std::all_of(text.begin(), text.end(), [&](char c) {
               return is_letter(c) || (c >= '0' && c <= '9') || further.find(c) != std::string_view::npos;
           });
}

bool is_utf8(std::string_view text) {
    return simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace flowd::core
