// SPDX-License-Identifier: Apache-2.0
// dlopen(3), with the dynamic linker's errors translated into messages with a remedy. Main thread only.
#pragma once

#include <filesystem>

#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// Loads a file until the process ends, resolving all symbols at once, and returns its flowd_module_v1.
[[nodiscard]] Result<flowd_module_function> load_entry(const std::filesystem::path& file);

/// Translates a message of dlerror() about `file`; exported for tests.
[[nodiscard]] Error explain_dlerror(std::string_view message, const std::filesystem::path& file);

}  // namespace flowd::core
