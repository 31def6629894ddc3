// SPDX-License-Identifier: Apache-2.0
// The host name in the header of a firefly.
#pragma once

#include <unistd.h>

#include <array>
#include <string>

namespace flowd::firefly {

[[nodiscard]] inline std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "-";
}

}  // namespace flowd::firefly
