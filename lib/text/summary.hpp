// SPDX-License-Identifier: Apache-2.0
// lib/text/summary.hpp: the member `summary` of an instance's status (flowd/abi/ext/status.h). Pure, any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lib/text/utf8.hpp"

namespace flowd::text {

/// In bytes, which bounds the number of columns as well.
inline constexpr std::size_t summary_columns = 60;

/// `text` and `rest`: a text that does not fit is truncated, so that the rest stays.
[[nodiscard]] inline std::string fitted(std::string_view text, std::string_view rest) {
    if (text.size() + rest.size() <= summary_columns) return std::string(text).append(rest);
    const std::size_t room = summary_columns - std::min(summary_columns, rest.size() + 3);
    return std::string(cut(text, room)).append("...").append(rest);
}

/// "listens on a, b and c"; names that do not fit are counted: "listens on a, b and 3 more". A first name that does not fit
/// is truncated.
[[nodiscard]] inline std::string summary(std::string_view doing, const std::vector<std::string>& names) {
    const auto with = [&](std::size_t shown) {
        std::string text(doing);
        for (std::size_t i = 0; i < shown; ++i)
            text.append(i == 0 ? " " : i + 1 == names.size() ? " and " : ", ").append(names[i]);
        if (shown < names.size()) text += " and " + std::to_string(names.size() - shown) + " more";
        return text;
    };
    for (std::size_t shown = std::min(names.size(), summary_columns); shown > 0; --shown)
        if (std::string text = with(shown); text.size() <= summary_columns) return text;
    const std::string whole = std::string(doing) + " " + (names.empty() ? std::string() : names.front());
    return fitted(whole, names.size() > 1 ? " and " + std::to_string(names.size() - 1) + " more" : std::string());
}

}  // namespace flowd::text
