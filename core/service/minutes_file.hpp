// SPDX-License-Identifier: Apache-2.0
// The sums per minute, kept over restarts in a file of the state directory. It is replaced as a whole, and ends in a
// checksum. Reads and writes block: one thread at a time, not the main thread.
//
//   flowd-history 1
//   28333333 2 16 1 120 118 1048576 512     minute since 1970, experiment, activity, FLOWD_LOCAL_*, started, ended, bytes
//   end 0123456789abcdef                    FNV-1a (64 bits) of everything before this line
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/flows/minutes.hpp"
#include "flowd/result.hpp"

namespace flowd::core {

class MinutesFile {
  public:
    /// `directory`: empty: nothing is kept. `minutes` outlives it.
    MinutesFile(const std::string& directory, Minutes& minutes)
        : file_(directory.empty() ? std::filesystem::path() : std::filesystem::path(directory) / "history"),
          minutes_(minutes) {}

    [[nodiscard]] const std::filesystem::path& path() const { return file_; }
    /// Adds what the file has of the last 24 hours; a file that does not exist is empty. If it is damaged or of another
    /// version, it is moved aside, and the error says so.
    [[nodiscard]] Result<void> load(std::int64_t now_ns);
    /// Replaces the file if something has changed since the last time.
    [[nodiscard]] Result<void> save();

  private:
    std::filesystem::path file_;
    Minutes& minutes_;
    std::uint64_t saved_changes_ = 0;
};

/// The file's text for these sums. At most 4 MiB: beyond that the oldest minutes are left out.
[[nodiscard]] std::string print_minutes(const Minutes& minutes);
/// FLOWD_UNSUPPORTED: another version; FLOWD_INVALID: damaged. `minutes` has changed only without an error. Later minutes
/// than `latest`, and those of more than 24 hours before it, are ignored.
[[nodiscard]] Result<void> parse_minutes(std::string_view text, std::int64_t latest, Minutes& minutes);

}  // namespace flowd::core
