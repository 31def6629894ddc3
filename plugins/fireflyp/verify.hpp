// SPDX-License-Identifier: Apache-2.0
// The tool behind `flowd-cpp verify` (flowd/verify.hpp): a test firefly to each listener, followed to the backends.
#pragma once

#include "flowd/tool.hpp"

namespace flowd::fireflyp {

[[nodiscard]] Tool verify_tool();

}  // namespace flowd::fireflyp
