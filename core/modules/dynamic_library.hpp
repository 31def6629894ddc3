// SPDX-License-Identifier: Apache-2.0
// dlopen with the dynamic linker's complaints put into words an administrator can act on. Main thread only.
#pragma once

#include <filesystem>

#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// Loads a file for the rest of the process's life, resolving every symbol at once, and returns its flowd_module_v1.
[[nodiscard]] Result<flowd_module_function> load_entry(const std::filesystem::path& file);

/// What to tell for a message of dlerror() about `file`; for load_entry and its tests.
[[nodiscard]] Error explain_dlerror(std::string_view message, const std::filesystem::path& file);

}  // namespace flowd::core
