// SPDX-License-Identifier: Apache-2.0
#include "core/service/trust.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace flowd::core {
namespace fs = std::filesystem;

namespace {

std::string_view writers(mode_t mode) {
    switch (mode & (S_IWGRP | S_IWOTH)) {
        case S_IWGRP:
            return "its group";
        case S_IWOTH:
            return "others";
        default:
            return "its group and others";
    }
}

Result<void> check_one(const fs::path& path, bool is_parent, const TrustPolicy& policy) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return Error::from_errno(errno, path.string());
    const auto permissions = status.st_mode & 07777u;
    if (status.st_uid != 0 && status.st_uid != policy.user)
        return Error{FLOWD_DENIED,
                     fmt::format("{} is not trusted: it belongs to uid {} (mode {:04o}), not to root{}", path.string(),
                                 status.st_uid, permissions,
                                 policy.user == 0 ? std::string() : fmt::format(" or uid {}", policy.user)),
                     fmt::format("chown root {}", path.string())};
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
    if (is_parent && status.st_uid == 0 && (status.st_mode & S_ISVTX) != 0) return {};
    return Error{FLOWD_DENIED,
                 fmt::format("{} is not trusted: it is writable by {} (owner uid {}, group gid {}, mode {:04o})",
                             path.string(), writers(status.st_mode), status.st_uid, status.st_gid, permissions),
                 fmt::format("chmod go-w {}", path.string())};
}

}  // namespace

Result<fs::path> trusted_path(const fs::path& path, const TrustPolicy& policy) {
    std::error_code error;
    fs::path real = fs::canonical(path, error);
    if (error) return Error::from_errno(error.value(), path.string());
    if (!policy.enforced) return real;
    fs::path current = real;
    for (bool is_parent = false;; is_parent = true) {
        if (auto checked = check_one(current, is_parent, policy); !checked) return std::move(checked).error();
        if (current == current.root_path()) return real;
        current = current.parent_path();
    }
}

Result<void> check_trusted(const fs::path& path, const TrustPolicy& policy) {
    if (auto trusted = trusted_path(path, policy); !trusted) return std::move(trusted).error();
    return {};
}

}  // namespace flowd::core
