// SPDX-License-Identifier: Apache-2.0
// Files that are read as a whole. Any thread.
#pragma once

#include <filesystem>
#include <string>

#include "flowd/result.hpp"

namespace flowd::core {

/// The contents of a regular file of at most 4 MiB. FLOWD_INVALID: not a regular file. FLOWD_LIMIT: larger. Errors begin
/// with the path.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& file);

}  // namespace flowd::core
