// SPDX-License-Identifier: Apache-2.0
// The ELF note of a module (flowd/abi/note.h), read without loading it. The file may be hostile: it is read by bounded,
// checked reads and never mapped or executed. Any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::core {

/// One `plugin=`, `backend=` or `enricher=` line with the alias lines that follow it.
constexpr std::size_t max_components = 64;  ///< of one module

struct NoteComponent {
    std::uint32_t kind = 0;  ///< FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER
    std::string name;
    std::vector<std::string> aliases;

    friend bool operator==(const NoteComponent&, const NoteComponent&) = default;
};

struct Note {
    std::uint32_t abi_major = 0;
    std::uint32_t abi_minor = 0;
    std::string name;
    std::string version;
    std::vector<NoteComponent> components;
};

/// The note of a file. Codes: FLOWD_NOT_FOUND the file does not exist, FLOWD_UNSUPPORTED it is an ELF file for another
/// machine, FLOWD_INVALID it is not a shared object, is truncated, has no note or a malformed one.
[[nodiscard]] Result<Note> read_note(const std::filesystem::path& path);

/// The text inside a note. Lines with unknown keys are passed over: a later minor may add some.
[[nodiscard]] Result<Note> parse_note(std::string_view text);

/// FLOWD_PLUGIN for "plugin" and so on, 0 for anything else. The way back is kind_name() in
/// core/config/component_lookup.hpp.
[[nodiscard]] std::uint32_t kind_of(std::string_view name);

}  // namespace flowd::core
