// SPDX-License-Identifier: Apache-2.0
// The configuration file that `flowd-cpp setup` writes, and the backup of the one that it replaced. A process that is
// killed at any moment leaves the complete old or the complete new file. One thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

class SetupFile {
  public:
    /// Metadata that setup records in a file that it wrote.
    struct Stamp {
        bool intact = false;   ///< the file has not been modified since
        bool started = false;  ///< setup enabled the service, which was disabled before
    };

    explicit SetupFile(std::filesystem::path file) : file_(std::move(file)) {}

    [[nodiscard]] const std::filesystem::path& path() const { return file_; }
    /// The backup of the replaced file.
    [[nodiscard]] std::filesystem::path before() const { return file_.string() + ".before-setup"; }
    /// The new file before commit(), in a place where it can be checked.
    [[nodiscard]] std::filesystem::path candidate() const;

    /// Keeps other setups from the directory while this object exists. Nothing is locked if there is no directory.
    /// FLOWD_BUSY: another one holds the lock.
    [[nodiscard]] Result<void> lock();

    /// Whether there is anything, also a symbolic link to nowhere.
    [[nodiscard]] bool exists() const;
    /// The present text; empty if the file does not exist.
    [[nodiscard]] Result<std::optional<std::string>> read() const;
    [[nodiscard]] static std::optional<Stamp> stamp_of(std::string_view text);
    [[nodiscard]] static std::string stamped(std::string_view profile, std::string_view text, bool started);

    /// Locks, and writes candidate(), with owner and mode of the present file.
    [[nodiscard]] Result<void> prepare(std::string_view text);
    /// Renames candidate() to path(). The replaced file becomes before(), unless setup wrote it; an older one is renamed.
    [[nodiscard]] Result<void> commit() const;
    void discard() const;
    /// Removes what a killed setup has left beside the file.
    void clean() const;

    /// Restores before(), or removes the file if there was none. A file that was modified since is kept under the returned
    /// path; otherwise that path is empty.
    [[nodiscard]] Result<std::filesystem::path> restore() const;

  private:
    [[nodiscard]] Result<void> write_candidate(std::string_view text) const;

    std::filesystem::path file_;
    UniqueFd lock_;
};

}  // namespace flowd::core
