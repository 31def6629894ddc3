// SPDX-License-Identifier: Apache-2.0
// Results of calls into a module. Pure functions.
#pragma once

#include <string>

#include "flowd/abi/base.h"

namespace flowd::core {

/// Whether it is a result that this ABI defines.
[[nodiscard]] bool means_something(flowd_result result);
/// "prepare failed: a privilege is missing"
[[nodiscard]] std::string describe_failure(const char* call, flowd_result result);

}  // namespace flowd::core
