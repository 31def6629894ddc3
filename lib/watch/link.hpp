// SPDX-License-Identifier: Apache-2.0
// lib/watch/link.hpp: a BPF program's attachment. Thread-aware. It ends when the descriptor is closed; other programs stay
// attached.
#pragma once

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::watch {

/// In addition to programs that are attached already.
[[nodiscard]] Result<UniqueFd> attach_sockops(int program, int cgroup);

/// A BPF iterator's link; iterate() walks it once.
[[nodiscard]] Result<UniqueFd> attach_iterator(int program);
/// A descriptor from which the output of the iterator is read, up to the end of file.
[[nodiscard]] Result<UniqueFd> iterate(int link);

}  // namespace flowd::watch
