// SPDX-License-Identifier: Apache-2.0
// lib/watch/cgroup.hpp: where control groups of version 2 are, and programs attached to them. Thread-aware.
#pragma once

#include <string>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::watch {

/// Where cgroup2 is mounted, by /proc/self/mountinfo, preferably with the topmost group of all; empty: nowhere.
[[nodiscard]] std::string cgroup_root();

/// The control group that `path` means: itself, if it is one; a path below /sys/fs/cgroup, where configurations expect the
/// mount, is looked for where it really is. Empty: the topmost.
[[nodiscard]] Result<std::string> find_cgroup(const std::string& path);

/// Opened for attaching. Refused for the root of a mount that shows only a part of all groups: that is a private cgroup
/// namespace, and what is attached there sees nothing of the host.
[[nodiscard]] Result<UniqueFd> open_cgroup(const std::string& path);

}  // namespace flowd::watch
