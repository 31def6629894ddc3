// SPDX-License-Identifier: Apache-2.0
// Files that are replaced as a whole: a process that is killed, or a host that loses power, leaves the complete old or the
// complete new contents. Any thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string_view>

#include "flowd/result.hpp"

namespace flowd::core {

/// For a file that replaces none. One that replaces another has its owner, as far as this process may set it, and its mode.
struct Access {
    mode_t mode = 0640;
    std::optional<gid_t> group;
};

/// Replaces `file` by `text`. Its directory must exist.
[[nodiscard]] Result<void> replace_file(const std::filesystem::path& file, std::string_view text, const Access& access);

/// The two halves of it, for a successor that is looked at in between. Writes `text` to `successor`, which must not exist,
/// with the owner and mode of `file`. What a failure leaves there is the caller's to remove.
[[nodiscard]] Result<void> write_successor(const std::filesystem::path& successor, const std::filesystem::path& file,
                                           std::string_view text, const Access& access);
[[nodiscard]] Result<void> rename_file(const std::filesystem::path& from, const std::filesystem::path& to);
/// Makes a rename or a removal survive a power failure, if the file system can and this user may read the directory.
/// Otherwise the rename is in force as well, but a power failure may undo it.
void sync_directory(const std::filesystem::path& directory);

}  // namespace flowd::core
