// SPDX-License-Identifier: Apache-2.0
// The configuration file that `flowd-cpp setup` writes in place of another, and what it replaced. A process that is killed
// at any moment leaves the old or the new file, whole. One thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/result.hpp"

namespace flowd::core {

class SetupFile {
  public:
    /// What setup noted in a file that it wrote.
    struct Stamp {
        bool intact = false;   ///< nobody changed the file since
        bool started = false;  ///< setup has enabled the service, which was not enabled before
    };

    explicit SetupFile(std::filesystem::path file) : file_(std::move(file)) {}

    [[nodiscard]] const std::filesystem::path& path() const { return file_; }
    /// The copy of what was there.
    [[nodiscard]] std::filesystem::path before() const { return file_.string() + ".before-setup"; }
    /// The new file, for checking it where it will be.
    [[nodiscard]] std::filesystem::path candidate() const;

    /// The present text; nothing if there is no such file.
    [[nodiscard]] Result<std::optional<std::string>> read() const;
    [[nodiscard]] static std::optional<Stamp> stamp_of(std::string_view text);
    [[nodiscard]] static std::string stamped(std::string_view profile, std::string_view text, bool started);

    /// Writes candidate(), with owner and mode of the present file.
    [[nodiscard]] Result<void> prepare(std::string_view text) const;
    /// Puts candidate() in place; what was there is kept in before(), unless setup wrote it. An older copy gets a number.
    [[nodiscard]] Result<void> commit() const;
    void discard() const;

    /// Puts before() back, or removes the file if there was none. What somebody changed since is kept: the path it has now,
    /// or an empty one.
    [[nodiscard]] Result<std::filesystem::path> restore() const;

  private:
    std::filesystem::path file_;
};

}  // namespace flowd::core
