// SPDX-License-Identifier: Apache-2.0
// One module file, its state, and the core's checked copy of its components.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/option.hpp"
#include "core/modules/note.hpp"
#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// A component as the core uses it: checked, immutable, readable by any thread.
struct Component {
    /// The core's copy: `size` is the core's, members unknown to the module are null, required members are set.
    flowd_component table{};
    OptionTable options;

    [[nodiscard]] std::string_view name() const { return table.name; }
    [[nodiscard]] std::vector<std::string_view> aliases() const;
    /// Whether the argument is its name or an alias, case-insensitive.
    [[nodiscard]] bool answers_to(std::string_view name_or_alias) const;
};

/// The result of flowd_module_v1, completely checked.
struct Descriptor {
    std::string name;
    std::string version;
    std::string license;
    std::uint32_t abi_major = 0;
    std::uint32_t abi_minor = 0;
    std::vector<std::unique_ptr<Component>> components;
};

/// Why a module is not used: one sentence and a remedy.
[[nodiscard]] inline Error refused(std::string message, std::string hint = {}) {
    return Error{FLOWD_INVALID, std::move(message), std::move(hint)};
}

enum class ModuleState {
    found,   ///< its note was read; the code is not loaded
    loaded,  ///< descriptor and components are checked; loaded until the process ends
    failed,  ///< `failure` says why; it is not used
};

/// "found", "loaded", "failed".
[[nodiscard]] std::string_view to_string(ModuleState state);

/// Identifies a file and its version.
struct FileStamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed_ns = 0;
    friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
/// Empty if the file does not exist.
[[nodiscard]] std::optional<FileStamp> stamp_of(const std::filesystem::path& file);

struct Module {
    std::filesystem::path path;  ///< as found or given, absolute
    ModuleState state = ModuleState::found;
    std::optional<Error> failure;  ///< state failed: the message is one sentence without the path; the hint is the remedy
    Note note;                     ///< empty if it could not be read

    Descriptor declared;                  ///< state loaded
    std::optional<FileStamp> stamp = {};  ///< state loaded: of the file that was loaded
};

}  // namespace flowd::core
