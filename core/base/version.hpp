// SPDX-License-Identifier: Apache-2.0
// The product's version. It is not the ABI's: see flowd/abi/base.h.
#pragma once

namespace flowd::core {

[[nodiscard]] const char* version();

}  // namespace flowd::core
