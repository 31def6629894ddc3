// SPDX-License-Identifier: Apache-2.0
// The PID file of the daemon. Main thread.
#pragma once

#include <filesystem>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// Created and locked by write(); removed by the destructor.
class PidFile {
  public:
    /// FLOWD_BUSY: another process holds the lock; the message names it. FLOWD_LIMIT: the disk is full; no file is left.
    [[nodiscard]] static Result<PidFile> write(const std::filesystem::path& path);
    PidFile(PidFile&&) = default;
    PidFile& operator=(PidFile&&) = delete;
    ~PidFile();

  private:
    PidFile(std::filesystem::path path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    std::filesystem::path path_;
    UniqueFd fd_;
};

}  // namespace flowd::core
