// SPDX-License-Identifier: Apache-2.0
// The TCP sockets of this network namespace with their control groups, as sock_diag(7) reports them.
#pragma once

#include <cstdint>
#include <functional>

#include "flowd/abi/event.h"
#include "flowd/result.hpp"

namespace batchjobs {

/// Calls `visit` for each connected TCP socket of one address family. The id of a control group is its inode number.
flowd::Result<void> visit_sockets(int family, const std::function<void(const flowd_key&, std::uint64_t group)>& visit);

}  // namespace batchjobs
