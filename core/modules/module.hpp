// SPDX-License-Identifier: Apache-2.0
// One module file, what is known of it, and the core's own checked copy of its components.
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
    /// The core's own copy: `size` is the core's, members that the module does not know are null, required ones are there.
    flowd_component table{};
    OptionTable options;

    [[nodiscard]] std::string_view name() const { return table.name; }
    [[nodiscard]] std::vector<std::string_view> aliases() const;
    /// By name or alias, case-insensitive.
    [[nodiscard]] bool answers_to(std::string_view name_or_alias) const;
};

/// What flowd_module_v1 answered, checked whole.
struct Descriptor {
    std::string name;
    std::string version;
    std::string license;
    std::uint32_t abi_major = 0;
    std::uint32_t abi_minor = 0;
    std::vector<std::unique_ptr<Component>> components;
};

/// Why a module is not used: one sentence, and what to do.
[[nodiscard]] inline Error refused(std::string message, std::string hint = {}) {
    return Error{FLOWD_INVALID, std::move(message), std::move(hint)};
}

enum class ModuleState {
    found,   ///< its note was read; the code is not loaded
    loaded,  ///< descriptor and components are checked; stays loaded until the process ends
    failed,  ///< `reason` says why; nothing of it is used
};

/// "found", "loaded", "failed".
[[nodiscard]] std::string_view to_string(ModuleState state);

/// Which file it was, and as of when.
struct FileStamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed_ns = 0;
    friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
/// Nothing if the file does not exist.
[[nodiscard]] std::optional<FileStamp> stamp_of(const std::filesystem::path& file);

struct Module {
    std::filesystem::path path;  ///< as it was found or given, absolute
    ModuleState state = ModuleState::found;
    std::optional<Error> failure;  ///< state failed: message is one sentence without the path, hint what to do
    Note note;                     ///< empty when it could not be read

    Descriptor declared;                  ///< state loaded
    std::optional<FileStamp> stamp = {};  ///< state loaded: of the file that was loaded
};

}  // namespace flowd::core
