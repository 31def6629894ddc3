// SPDX-License-Identifier: Apache-2.0
// lib/watch/cgroup.hpp: finds and opens control groups of version 2. Thread-aware.
#pragma once

#include <string>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::watch {

/// The mount point of cgroup2 by /proc/self/mountinfo, preferably one with the root group of the host; empty: not mounted.
[[nodiscard]] std::string cgroup_root();

/// The control group for `path`: the path itself, if it is one; a path below /sys/fs/cgroup, where configurations expect
/// the mount, is searched for at the actual mount point. Empty: the root group.
[[nodiscard]] Result<std::string> find_cgroup(const std::string& path);

/// Opens it for attaching programs. The root of a mount that shows only a part of the groups is refused: in a private
/// cgroup namespace, a program there would not see the connections of the host.
[[nodiscard]] Result<UniqueFd> open_cgroup(const std::string& path);

}  // namespace flowd::watch
