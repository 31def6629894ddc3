// SPDX-License-Identifier: Apache-2.0
// The file that holds the daemon's process id. Main thread.
#pragma once

#include <filesystem>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// Written and locked while it lives, then removed.
class PidFile {
  public:
    /// FLOWD_BUSY: another process holds it; the message says which. FLOWD_LIMIT: the disk is full; nothing is left behind.
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
