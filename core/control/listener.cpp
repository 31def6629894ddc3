// SPDX-License-Identifier: Apache-2.0
#include "core/control/listener.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace flowd::core::control {
namespace {

Result<void> make_folder(const std::string& path) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (folder.empty() || ::mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST) return {};
    return Error::from_errno(errno, "control socket: cannot create the directory " + folder.string());
}

Result<UniqueFd> lock(const std::string& path) {
    const std::string file = path + ".lock";
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return Error::from_errno(errno, "control socket: cannot open " + file);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return Error::from_errno(errno, "control socket: cannot lock " + file);
        return Error{FLOWD_BUSY, "another flowd-cpp is running: it owns the control socket " + path,
                     "stop it, or give this one another socket with --control or control.path"};
    }
    return fd;
}

/// Removes the socket of a daemon that has ended, but no other kind of file.
Result<void> remove_stale(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) return {};
        return Error::from_errno(errno, "control socket: cannot examine " + path);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return Error{FLOWD_INVALID, "control socket: " + path + " exists and is not a socket",
                     "remove it or change control.path"};
    }
    if (::unlink(path.c_str()) != 0) return Error::from_errno(errno, "control socket: cannot remove the stale " + path);
    return {};
}

}  // namespace

Result<gid_t> group_id(const std::string& name) {
    if (name.empty()) return ::getegid();
    std::vector<char> buffer(16384);
    group entry{};
    group* found = nullptr;
    if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
        return Error{FLOWD_NOT_FOUND, "control socket: there is no group \"" + name + "\"", "see control.group"};
    }
    return entry.gr_gid;
}

Listener::~Listener() {
    if (socket_ && is_reachable()) ::unlink(path_.c_str());  // before the lock is released: the path is still ours
}

Result<Listener> Listener::open(const std::string& path, gid_t group) {
    if (path.empty() || path.size() >= sizeof sockaddr_un{}.sun_path) {
        return Error{FLOWD_INVALID, "control socket: the path \"" + path + "\" must have 1 to 107 bytes",
                     "change control.path"};
    }
    if (auto made = make_folder(path); !made) return std::move(made).error();
    auto locked = lock(path);
    if (!locked) return std::move(locked).error();
    if (auto removed = remove_stale(path); !removed) return std::move(removed).error();
    Listener listener(path, group, std::move(*locked));
    if (auto bound = listener.bind(); !bound) return std::move(bound).error();
    return listener;
}

Result<void> Listener::bind() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return Error::from_errno(errno, "control socket");
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return Error::from_errno(errno, "control socket: cannot bind " + path_);
    }
    socket_ = std::move(socket);
    struct stat status {};
    if (::lstat(path_.c_str(), &status) != 0) return Error::from_errno(errno, "control socket: cannot examine " + path_);
    device_ = status.st_dev;
    inode_ = status.st_ino;
    // No client can connect before listen(): the permissions apply to all.
    if (group_ != ::getegid() && ::chown(path_.c_str(), static_cast<uid_t>(-1), group_) != 0) {
        return Error::from_errno(errno, "control socket: cannot give " + path_ + " to group " + std::to_string(group_));
    }
    if (::chmod(path_.c_str(), 0660) != 0)
        return Error::from_errno(errno, "control socket: cannot set the mode of " + path_);
    if (::listen(socket_.get(), 64) != 0) return Error::from_errno(errno, "control socket: cannot listen at " + path_);
    return {};
}

Result<void> Listener::reopen() {
    if (auto made = make_folder(path_); !made) return made;
    // A lock on a removed file does not exclude another daemon.
    struct stat locked {
    }, there{};
    const bool same = ::fstat(lock_.get(), &locked) == 0 && ::lstat((path_ + ".lock").c_str(), &there) == 0 &&
                      locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
    if (!same) {
        auto again = lock(path_);
        if (!again) return std::move(again).error();
        lock_ = std::move(*again);
    }
    if (auto removed = remove_stale(path_); !removed) return removed;
    return bind();
}

bool Listener::is_reachable() const {
    struct stat status {};
    return ::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

bool may_connect(uid_t uid, gid_t gid, const std::vector<gid_t>& groups, uid_t own_user, gid_t socket_group) {
    return uid == 0 || uid == own_user || gid == socket_group ||
           std::find(groups.begin(), groups.end(), socket_group) != groups.end();
}

}  // namespace flowd::core::control
