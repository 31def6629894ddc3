// SPDX-License-Identifier: Apache-2.0
// flowd/counted.hpp: a number of things in a sentence. Pure function, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flowd {

/// "1 flow", "2 flows".
[[nodiscard]] inline std::string counted(std::uint64_t count, std::string_view what) {
    return std::to_string(count).append(" ").append(what).append(count == 1 ? "" : "s");
}

}  // namespace flowd
