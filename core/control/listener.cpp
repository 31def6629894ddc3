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

/// Takes away what a dead daemon left; never anything but a socket.
Result<void> remove_stale(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) return {};
        return Error::from_errno(errno, "control socket: cannot look at " + path);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return Error{FLOWD_INVALID, "control socket: " + path + " exists and is no socket",
                     "remove it or change control.path"};
    }
    if (::unlink(path.c_str()) != 0) return Error::from_errno(errno, "control socket: cannot remove the stale " + path);
    return {};
}

}  // namespace

Listener::Listener(std::string path, gid_t group, UniqueFd lock, UniqueFd socket)
    : path_(std::move(path)), group_(group), lock_(std::move(lock)), socket_(std::move(socket)) {}

Listener::~Listener() {
    if (socket_) ::unlink(path_.c_str());  // before the lock is dropped: it is still ours
}

Result<Listener> Listener::open(const std::string& path, const std::string& group) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error{FLOWD_INVALID, "control socket: the path \"" + path + "\" has to have 1 to 107 bytes",
                     "change control.path"};
    }
    std::memcpy(address.sun_path, path.data(), path.size());

    auto gid = group_id(group);
    if (!gid) return std::move(gid).error();
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (!folder.empty() && ::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
        return Error::from_errno(errno, "control socket: cannot make the folder " + folder.string());
    }
    auto locked = lock(path);
    if (!locked) return std::move(locked).error();
    if (auto removed = remove_stale(path); !removed) return std::move(removed).error();

    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return Error::from_errno(errno, "control socket");
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return Error::from_errno(errno, "control socket: cannot bind " + path);
    }
    Listener listener(path, *gid, std::move(*locked), std::move(socket));
    // Nobody can connect before listen(), so there is no moment with looser rights.
    if (*gid != ::getegid() && ::chown(path.c_str(), static_cast<uid_t>(-1), *gid) != 0) {
        return Error::from_errno(errno, "control socket: cannot give " + path + " to group \"" + group + "\"");
    }
    if (::chmod(path.c_str(), 0660) != 0) return Error::from_errno(errno, "control socket: cannot set the mode of " + path);
    if (::listen(listener.fd(), 16) != 0) return Error::from_errno(errno, "control socket: cannot listen at " + path);
    return listener;
}

bool may_connect(uid_t uid, gid_t gid, const std::vector<gid_t>& groups, uid_t own_user, gid_t socket_group) {
    return uid == 0 || uid == own_user || gid == socket_group ||
           std::find(groups.begin(), groups.end(), socket_group) != groups.end();
}

}  // namespace flowd::core::control
