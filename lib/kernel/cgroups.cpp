// SPDX-License-Identifier: Apache-2.0
#include "lib/kernel/cgroups.hpp"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

namespace flowd::kernel {

bool is_host_cgroup(const std::string& path) {
    // Only the root group of the host has no type (Documentation/admin-guide/cgroup-v2.rst). In a cgroup namespace, the
    // root of the mount is another group.
    return ::access((path + "/cgroup.type").c_str(), F_OK) != 0;
}

CgroupMount cgroup_mount(const std::string& root) {
    std::ifstream mounts(root + "/proc/self/mountinfo");
    CgroupMount first;
    for (std::string line; std::getline(mounts, line);) {
        // proc(5): the mount point is the fifth field; the type follows " - ".
        if (line.find(" - cgroup2 ") == std::string::npos) continue;
        std::istringstream words(line);
        std::string word;
        for (int i = 0; i < 5; ++i) words >> word;
        if (is_host_cgroup(root + word)) return {word, true};
        if (first.path.empty()) first.path = std::move(word);
    }
    return first;
}

}  // namespace flowd::kernel
