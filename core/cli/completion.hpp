// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp complete WORD...`: generates the candidates of shell completion (etc/completion), so that the scripts need no
// lists. Not listed in the help, because users do not call it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "core/cli/app.hpp"

namespace flowd::core::cli {

/// Candidates for the last of `words`, one per line, with a tab and a description if there is one. ":files" and
/// ":directories" mean the names in the file system. Queries the running daemon for half a second at most.
[[nodiscard]] std::string complete(const CLI::App& root, const GlobalOptions& options,
                                   const std::vector<std::string>& words);

}  // namespace flowd::core::cli
