// SPDX-License-Identifier: Apache-2.0
// Paths of the directories for files of instances. The instance creates the directory. Pure functions and values.
#pragma once

#include <string>
#include <string_view>

namespace flowd::core {

/// Absolute paths; empty: none.
struct Directories {
    std::string state;    ///< persists over a reboot
    std::string runtime;  ///< does not persist over a reboot

    /// State: `work_dir`, else STATE_DIRECTORY. Runtime: RUNTIME_DIRECTORY. systemd sets both; if it lists several
    /// directories, the first is used.
    [[nodiscard]] static Directories from_environment(std::string_view work_dir);
};

/// The directory of one instance in `base`: "plugin" and "fireflyp/regional" give BASE/plugin-fireflyp@regional, so that no
/// instance's directory is inside another's. Empty if `base` is empty.
[[nodiscard]] std::string instance_directory(std::string_view base, std::string_view kind, std::string_view key);

}  // namespace flowd::core
