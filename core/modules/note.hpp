// SPDX-License-Identifier: Apache-2.0
// The ELF note of a module (flowd/abi/note.h), read without loading the module. The file may be hostile: it is read by
// bounded, checked reads and never mapped or executed. Any thread.
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

/// The note of a file. Codes: FLOWD_NOT_FOUND: no such file. FLOWD_UNSUPPORTED: an ELF file for another machine.
/// FLOWD_INVALID: not a shared object, truncated, or the note is missing or malformed.
[[nodiscard]] Result<Note> read_note(const std::filesystem::path& path);

/// Parses the text of a note. Lines with unknown keys are ignored: a later minor may add some.
[[nodiscard]] Result<Note> parse_note(std::string_view text);

/// FLOWD_PLUGIN for "plugin" and so on, 0 for any other text. The inverse is kind_name() in
/// core/config/component_lookup.hpp.
[[nodiscard]] std::uint32_t kind_of(std::string_view name);

}  // namespace flowd::core
