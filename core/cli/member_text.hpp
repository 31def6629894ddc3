// SPDX-License-Identifier: Apache-2.0
// Members of a reply of the daemon, for a terminal. Pure functions.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

#include "core/base/text.hpp"

namespace flowd::core::cli {

/// The text of a member of a JSON object; empty if it is missing or not text.
[[nodiscard]] inline std::string text_of(const simdjson::dom::element& object, std::string_view key) {
    std::string_view text;
    return object[key].get(text) == simdjson::SUCCESS ? printable(text) : std::string();
}

/// 0 if it is missing or no number.
[[nodiscard]] inline double number_of(const simdjson::dom::element& object, std::string_view key) {
    double number = 0;
    return object[key].get(number) == simdjson::SUCCESS ? number : 0;
}

}  // namespace flowd::core::cli
