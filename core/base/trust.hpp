// SPDX-License-Identifier: Apache-2.0
// Which files the daemon trusts. Modules, configuration and programs act with the daemon's rights, so every user who can
// modify such a file, or a directory above it, has those rights, too. Any thread.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>

#include "flowd/result.hpp"

namespace flowd::core {

/// The owners of trusted files, besides root.
struct TrustPolicy {
    uid_t user = ::geteuid();
    bool enforced = true;  ///< false: all files are trusted, for module authors who check a build
};

/// The canonical path of `path`, if that file (or directory) and every directory and symbolic link on its path is owned by
/// root or the policy's user and is not writable by others. A directory that root owns, with the sticky bit (/tmp), is
/// allowed: other users cannot replace files in it. Open the result, not `path`: a symbolic link may change meanwhile.
///
/// The error names the offending path, its owner and mode; its hint is the command that corrects it.
/// Codes: FLOWD_NOT_FOUND (no such file), FLOWD_DENIED (not trusted, or no permission to look), FLOWD_INVALID (a loop of
/// symbolic links).
[[nodiscard]] Result<std::filesystem::path> trusted_path(const std::filesystem::path& path, const TrustPolicy& policy = {});

/// The same check, without the path.
[[nodiscard]] Result<void> check_trusted(const std::filesystem::path& path, const TrustPolicy& policy = {});

}  // namespace flowd::core
