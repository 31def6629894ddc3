// SPDX-License-Identifier: Apache-2.0
// lib/firefly/json_text.hpp: private to lib/firefly; compact JSON text of a parsed value.
#pragma once

#include <simdjson.h>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

#include <string>

namespace flowd::firefly {

/// Appends the value as compact JSON. Numbers keep their type: a float stays a float.
void append_json(std::string& out, simdjson::dom::element value);

inline void append_number(std::string& out, std::uint64_t number) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

}  // namespace flowd::firefly
