// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/cgroup.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "lib/kernel/cgroups.hpp"

namespace flowd::watch {
namespace {

constexpr std::string_view expected_mount = "/sys/fs/cgroup";

bool is_cgroup2(const std::string& path) {
    struct statfs status {};
    return ::statfs(path.c_str(), &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

}  // namespace

std::string cgroup_root() {
    return kernel::cgroup_mount().path;
}

Result<std::string> find_cgroup(const std::string& path) {
    if (!path.empty() && is_cgroup2(path)) return path;
    const std::string root = cgroup_root();
    if (root.empty())
        return Error{FLOWD_NOT_FOUND, "control groups of version 2 are mounted nowhere",
                     "mount -t cgroup2 none /sys/fs/cgroup"};
    if (path.empty()) return root;
    if (path.compare(0, expected_mount.size(), expected_mount) == 0) {
        std::string moved = root + path.substr(expected_mount.size());
        if (is_cgroup2(moved)) return moved;
    }
    return Error{FLOWD_NOT_FOUND, "'" + path + "' is not a control group of version 2", "they are mounted at " + root};
}

Result<UniqueFd> open_cgroup(const std::string& path) {
    std::error_code ignored;
    if (std::filesystem::equivalent(path, cgroup_root(), ignored) && !kernel::is_host_cgroup(path))
        return Error{
            FLOWD_UNSUPPORTED,
            "this process sees only a part of the control groups (it is in a cgroup namespace of its own): at " + path +
                " connections of programs outside that part would not be found",
            "run it with the host's cgroup namespace (podman and docker: --cgroupns=host), or name a control group "
            "below " +
                path + " in cgroupPath"};
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return Error::from_errno(errno, "opening the control group " + path);
    return fd;
}

}  // namespace flowd::watch
