// SPDX-License-Identifier: Apache-2.0
// lib/watch/link.hpp: a BPF program's attachment. Thread-aware. It ends with the descriptor; programs of others stay.
#pragma once

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::watch {

/// Beside whatever else is attached there.
[[nodiscard]] Result<UniqueFd> attach_sockops(int program, int cgroup);

/// A BPF iterator's link; iterate() walks it once.
[[nodiscard]] Result<UniqueFd> attach_iterator(int program);
/// A descriptor to read what the iterator writes, until its end.
[[nodiscard]] Result<UniqueFd> iterate(int link);

}  // namespace flowd::watch
