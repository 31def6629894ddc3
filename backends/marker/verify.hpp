// SPDX-License-Identifier: Apache-2.0
// The tools that `flowd-cpp verify` and `flowd-cpp verify --path` call (flowd/verify.hpp).
#pragma once

#include "flowd/tool.hpp"

namespace flowd::marker {

[[nodiscard]] Tool verify_tool();
[[nodiscard]] Tool verify_path_tool();

}  // namespace flowd::marker
