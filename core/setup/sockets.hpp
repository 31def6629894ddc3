// SPDX-License-Identifier: Apache-2.0
// The sockets of this host, for `flowd-cpp plan`. Any thread.
#pragma once

#include <vector>

#include "flowd/abi/ext/plan.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// Connected and listening TCP sockets, and connected UDP sockets, of the caller's network namespace (sock_diag(7), which
/// needs no privileges).
[[nodiscard]] Result<std::vector<flowd_connection>> open_sockets();

}  // namespace flowd::core
