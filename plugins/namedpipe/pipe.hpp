// SPDX-License-Identifier: Apache-2.0
// A named pipe, held open for reading and writing, so that it never ends and no writer ever meets it closed. One thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::namedpipe {

class Pipe {
  public:
    /// Opens the pipe at `path`, or makes it there with mode 0666. Never removes anything. FLOWD_BUSY: something else is
    /// at that path.
    [[nodiscard]] static Result<Pipe> at(const std::filesystem::path& path);
    /// Takes over a descriptor that systemd or a predecessor held. FLOWD_INVALID: it is no pipe.
    [[nodiscard]] static Result<Pipe> adopted(UniqueFd fd);

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Whether `path` still leads to this pipe.
    [[nodiscard]] bool is_at(const std::filesystem::path& path) const;
    /// Permission bits.
    [[nodiscard]] unsigned mode() const { return mode_; }

  private:
    explicit Pipe(UniqueFd fd) : fd_(std::move(fd)) {}
    [[nodiscard]] Result<void> settle();

    UniqueFd fd_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    unsigned mode_ = 0;
};

/// The path with every symbolic link resolved, as the kernel names the open pipe: what its descriptor is kept under.
[[nodiscard]] std::filesystem::path resolved(const std::filesystem::path& path);

}  // namespace flowd::namedpipe
