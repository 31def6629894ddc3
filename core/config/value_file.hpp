// SPDX-License-Identifier: Apache-2.0
// A value in a separate file, for example a secret. Any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "flowd/result.hpp"

namespace flowd::core {

constexpr std::size_t max_value_file = 4096;

/// The first line of `file`, not empty. FLOWD_DENIED: no permission to read it. FLOWD_INVALID: there is no such line, or,
/// if `secret`, the file is world-readable.
[[nodiscard]] Result<std::string> read_value_file(const std::filesystem::path& file, bool secret);

}  // namespace flowd::core
