// SPDX-License-Identifier: Apache-2.0
// The listening socket of the control socket, with its file, lock and permissions. One thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::control {

/// The group of the socket; empty: that of the daemon. Looks up a name, which may block.
[[nodiscard]] Result<gid_t> group_id(const std::string& name);

/// Owns the socket file at `path`. The lock (PATH.lock) shows whether the owner is running: the kernel releases it
/// when the process ends in any way.
class Listener {
  public:
    /// Errors as in Server::listen. Mode 0660; the last directory of the path is created if it is missing.
    [[nodiscard]] static Result<Listener> open(const std::string& path, gid_t group);
    /// Re-creates removed files. The socket is a new one, so its descriptor changes. FLOWD_BUSY: another daemon owns the
    /// path now.
    [[nodiscard]] Result<void> reopen();
    /// Whether the path still leads to this socket file.
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

/// Whether the user is root, the daemon's user or a member of the socket's group.
[[nodiscard]] bool may_connect(uid_t uid, gid_t gid, const std::vector<gid_t>& groups, uid_t own_user, gid_t socket_group);

}  // namespace flowd::core::control
