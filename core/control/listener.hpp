// SPDX-License-Identifier: Apache-2.0
// The listening socket of the control socket: its file, its lock, and its permissions. One thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::control {

/// The group of the socket; empty: the daemon's own. Looks a name up, which may take long.
[[nodiscard]] Result<gid_t> group_id(const std::string& name);

/// Owns the socket file at `path`. The lock (PATH.lock) shows whether the owner is running: the kernel releases it
/// when the process ends in any way.
class Listener {
  public:
    /// Errors as in Server::listen. Mode 0660; a missing last folder of the path is made.
    [[nodiscard]] static Result<Listener> open(const std::string& path, gid_t group);
    /// Re-creates what was removed of its files: a new socket, for its descriptor changes. FLOWD_BUSY: another daemon has
    /// the path by now.
    [[nodiscard]] Result<void> reopen();
    /// Its socket file is at the path.
    [[nodiscard]] bool is_reachable() const;

    Listener(Listener&&) noexcept = default;
    Listener& operator=(Listener&&) noexcept = default;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener();

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] gid_t group() const { return group_; }

  private:
    Listener(std::string path, gid_t group, UniqueFd lock)
        : path_(std::move(path)), group_(group), lock_(std::move(lock)) {}
    [[nodiscard]] Result<void> bind();

    std::string path_;
    gid_t group_;
    dev_t device_ = 0;  ///< of the socket file ...
    ino_t inode_ = 0;
    UniqueFd lock_;
    UniqueFd socket_;
};

/// Root, the daemon's own user and the members of the socket's group.
[[nodiscard]] bool may_connect(uid_t uid, gid_t gid, const std::vector<gid_t>& groups, uid_t own_user, gid_t socket_group);

}  // namespace flowd::core::control
