// SPDX-License-Identifier: Apache-2.0
// Which files the daemon trusts. Modules, configuration and programs act with the daemon's rights, so every user who can
// change one of these files, or a directory above it, has those rights, too. Any thread.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>

#include "flowd/result.hpp"

namespace flowd::core {

/// The owners of trusted files, besides root.
struct TrustPolicy {
    uid_t user = ::geteuid();
    bool enforced = true;  ///< false: all files are trusted, for authors who check what was just built
};

/// The real path of `path`, if that file (or directory), and every directory and symbolic link on its path, belong to root
/// or to the policy's user and are not writable by others. A directory with the sticky bit that belongs to root (/tmp) is
/// allowed: other users cannot replace files of others in it. Open the result, not `path`: a link may change meanwhile.
///
/// The error names the offending path, its owner and mode; its hint is the command that corrects it.
/// Codes: FLOWD_NOT_FOUND (no such file), FLOWD_DENIED (not trusted, or not allowed to look), FLOWD_INVALID (a loop of
/// links).
[[nodiscard]] Result<std::filesystem::path> trusted_path(const std::filesystem::path& path, const TrustPolicy& policy = {});

/// The check alone.
[[nodiscard]] Result<void> check_trusted(const std::filesystem::path& path, const TrustPolicy& policy = {});

}  // namespace flowd::core
