// SPDX-License-Identifier: Apache-2.0
// lib/firefly/number.hpp: private to lib/firefly; floats, which printf would make as dear as all the rest of a firefly.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string_view>

#include "flowd/json.hpp"

namespace flowd::firefly {

/// The shortest text that is read as this number again, and as a float: 5 becomes 5.0. Infinite ones become null.
inline void write_number(json::Writer& writer, double number) {
    if (!std::isfinite(number)) {
        writer.value(nullptr);
        return;
    }
    std::array<char, 32> digits;
    char* end = std::to_chars(digits.data(), digits.data() + digits.size() - 2, number).ptr;
    if (std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())).find_first_of(".e") ==
        std::string_view::npos) {
        *end++ = '.';
        *end++ = '0';
    }
    writer.raw({digits.data(), static_cast<std::size_t>(end - digits.data())});
}

}  // namespace flowd::firefly
