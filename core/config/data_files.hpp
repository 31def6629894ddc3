// SPDX-License-Identifier: Apache-2.0
// Where the files under share/flowd-cpp are. [any] thread.
#pragma once

#include <filesystem>
#include <string_view>

#include "flowd/result.hpp"

namespace flowd::core {

/// share/flowd-cpp/NAME beside the bin (or sbin, libexec) folder of the running executable: the same in a build tree and
/// in an installed one.
[[nodiscard]] Result<std::filesystem::path> find_data_file(std::string_view name);

}  // namespace flowd::core
