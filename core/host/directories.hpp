// SPDX-License-Identifier: Apache-2.0
// Directories for files of instances: named here, created by the instance. Pure functions and values.
#pragma once

#include <string>
#include <string_view>

namespace flowd::core {

/// Absolute names; empty: there is none.
struct Directories {
    std::string state;    ///< kept over a reboot
    std::string runtime;  ///< not kept

    /// State: `work_dir`, else STATE_DIRECTORY. Runtime: RUNTIME_DIRECTORY. systemd sets these two; of several directories
    /// the first is taken.
    [[nodiscard]] static Directories from_environment(std::string_view work_dir);
};

/// Of one instance below such a directory: "plugin" and "fireflyp/regional" give BASE/plugin-fireflyp@regional, so that no
/// instance's directory is inside another's. Empty when `base` is.
[[nodiscard]] std::string instance_directory(std::string_view base, std::string_view kind, std::string_view key);

}  // namespace flowd::core
