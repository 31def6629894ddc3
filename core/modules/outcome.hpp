// SPDX-License-Identifier: Apache-2.0
// What a call into a module answered. Pure functions.
#pragma once

#include <string>

#include "flowd/abi/base.h"

namespace flowd::core {

/// Whether it is one of the results that this ABI knows.
[[nodiscard]] bool means_something(flowd_result result);
/// "prepare failed: a privilege is missing"
[[nodiscard]] std::string describe_failure(const char* call, flowd_result result);

}  // namespace flowd::core
