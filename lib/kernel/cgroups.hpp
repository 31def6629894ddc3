// SPDX-License-Identifier: Apache-2.0
// lib/kernel/cgroups.hpp: where control groups of version 2 are mounted. Not bound to a thread.
#pragma once

#include <string>

namespace flowd::kernel {

struct CgroupMount {
    std::string path = {};  ///< empty: mounted nowhere
    bool is_whole = false;  ///< it shows the groups of the whole host, not those of a cgroup namespace
};

/// By /proc/self/mountinfo; preferably one that is whole. `root`: prefix of the paths of files, for tests.
[[nodiscard]] CgroupMount cgroup_mount(const std::string& root = {});

/// Whether this is the root group of the host.
[[nodiscard]] bool is_host_cgroup(const std::string& path);

}  // namespace flowd::kernel
