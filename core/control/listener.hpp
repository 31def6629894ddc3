// SPDX-License-Identifier: Apache-2.0
// The listening end of the control socket: its file, its lock, and who may connect. One thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::control {

/// Owns the socket file at `path`. The lock beside it (PATH.lock) tells a living owner from a dead one: the kernel drops
/// it when the process ends, however it ends.
class Listener {
  public:
    /// Errors as in Server::listen. Mode 0660; a missing last folder of the path is made.
    [[nodiscard]] static Result<Listener> open(const std::string& path, const std::string& group);

    Listener(Listener&&) noexcept = default;
    Listener& operator=(Listener&&) = delete;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener();

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] gid_t group() const { return group_; }

  private:
    Listener(std::string path, gid_t group, UniqueFd lock, UniqueFd socket);

    std::string path_;
    gid_t group_;
    UniqueFd lock_;
    UniqueFd socket_;
};

/// Root, the daemon's own user and the members of the socket's group.
[[nodiscard]] bool may_connect(uid_t uid, gid_t gid, const std::vector<gid_t>& groups, uid_t own_user, gid_t socket_group);

}  // namespace flowd::core::control
