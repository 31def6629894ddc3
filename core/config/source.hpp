// SPDX-License-Identifier: Apache-2.0
// The files of a configuration. One thread.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/config/binder.hpp"
#include "core/config/node.hpp"

namespace flowd::core {

struct SourceFile {
    std::string path;
    std::size_t digest = 0;  ///< of its text; comparable within one process only
};

struct Source {
    YamlNode root;
    std::vector<SourceFile> files;
    std::set<std::string> public_files;  ///< files that are world-readable
};

/// Reads `file`, then *.yaml of conf.d in its directory in the order of their names, and merges them. Empty if one of them
/// cannot be read, is not trusted or is not YAML: all such problems are added first.
[[nodiscard]] std::optional<Source> read_source(const std::filesystem::path& file, const Binder::Trust& trust,
                                                Problems& problems);

/// The same files at present, without checks; unreadable ones are omitted.
[[nodiscard]] std::vector<SourceFile> files_of_source(const std::filesystem::path& file);

}  // namespace flowd::core
