// SPDX-License-Identifier: Apache-2.0
#include "core/base/trust.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <deque>
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

Result<void> check_owner(const fs::path& path, const struct stat& status, const TrustPolicy& policy) {
    if (status.st_uid == 0 || status.st_uid == policy.user) return {};
    return Error{
        FLOWD_DENIED,
        fmt::format("{} is not trusted: it belongs to uid {} (mode {:04o}), not to root{}", path.string(), status.st_uid,
                    status.st_mode & 07777u, policy.user == 0 ? std::string() : fmt::format(" or uid {}", policy.user)),
        fmt::format("chown {}root {}", S_ISLNK(status.st_mode) ? "-h " : "", path.string())};
}

Result<void> check_one(const fs::path& path, bool is_parent, const TrustPolicy& policy) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return Error::from_errno(errno, path.string());
    const auto permissions = status.st_mode & 07777u;
    if (auto checked = check_owner(path, status, policy); !checked) return checked;
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
    if (is_parent && status.st_uid == 0 && (status.st_mode & S_ISVTX) != 0) return {};
    return Error{FLOWD_DENIED,
                 fmt::format("{} is not trusted: it is writable by {} (owner uid {}, group gid {}, mode {:04o})",
                             path.string(), writers(status.st_mode), status.st_uid, status.st_gid, permissions),
                 fmt::format("chmod go-w {}", path.string())};
}

}  // namespace

namespace {

constexpr int max_links = 40;  // the kernel's own limit (path_resolution(7))

/// FLOWD_INVALID for errors that a later attempt would find again.
Error wrong_path(int number, const fs::path& path) {
    Error error = Error::from_errno(number, path.string());
    if (number == ENOTDIR || number == ENAMETOOLONG) error.code = FLOWD_INVALID;
    return error;
}

Error loop_of_links(const fs::path& path) {
    return Error{FLOWD_INVALID, path.string() + ": too many symbolic links lead from one to the next",
                 "see: namei -l " + path.string()};
}

/// Follows a path as the kernel does, and checks each directory and each link.
class Walk {
  public:
    Walk(const fs::path& path, const TrustPolicy& policy) : asked_(path), policy_(policy) {
        const fs::path whole = fs::absolute(path).relative_path();
        ahead_.assign(whole.begin(), whole.end());
    }

    Result<fs::path> go() {
        if (auto checked = check_one(at_, true, policy_); !checked) return std::move(checked).error();
        while (!ahead_.empty()) {
            const fs::path name = std::move(ahead_.front());
            ahead_.pop_front();
            if (name.empty() || name == ".") continue;
            if (name == "..") {
                at_ = at_.parent_path();  // it was checked already
                continue;
            }
            if (auto stepped = step(at_ / name); !stepped) return std::move(stepped).error();
        }
        return at_;
    }

  private:
    Result<void> step(const fs::path& next) {
        struct stat status {};
        if (::lstat(next.c_str(), &status) != 0) return wrong_path(errno, asked_);
        if (!S_ISLNK(status.st_mode)) {
            if (!ahead_.empty() && !S_ISDIR(status.st_mode)) return wrong_path(ENOTDIR, asked_);
            at_ = next;
            return check_one(next, !ahead_.empty(), policy_);
        }
        if (++links_ > max_links) return loop_of_links(asked_);
        if (auto checked = check_owner(next, status, policy_); !checked) return checked;
        std::error_code error;
        const fs::path target = fs::read_symlink(next, error);
        if (error) return Error::from_errno(error.value(), asked_.string());
        const fs::path rest = target.relative_path();
        ahead_.insert(ahead_.begin(), rest.begin(), rest.end());
        if (target.is_absolute()) at_ = at_.root_path();
        return {};
    }

    const fs::path& asked_;
    const TrustPolicy& policy_;
    fs::path at_ = "/";
    std::deque<fs::path> ahead_;
    int links_ = 0;
};

}  // namespace

Result<fs::path> trusted_path(const fs::path& path, const TrustPolicy& policy) {
    if (policy.enforced) return Walk(path, policy).go();
    std::error_code error;
    fs::path real = fs::canonical(path, error);
    if (error == std::errc::too_many_symbolic_link_levels) return loop_of_links(path);
    if (error) return wrong_path(error.value(), path);
    return real;
}

Result<void> check_trusted(const fs::path& path, const TrustPolicy& policy) {
    if (auto trusted = trusted_path(path, policy); !trusted) return std::move(trusted).error();
    return {};
}

}  // namespace flowd::core
