// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp complete WORD...`: what the shells' completion asks for (etc/completion), so that they need no lists of their
// own. Not for people, so no help names it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "core/cli/app.hpp"

namespace flowd::core::cli {

/// What may stand in the place of the last of `words`, one a line, with a tab and its meaning behind it where there is one;
/// ":files" and ":directories" stand for those of the file system. Asks the running daemon for half a second at most.
[[nodiscard]] std::string complete(const CLI::App& root, const GlobalOptions& options,
                                   const std::vector<std::string>& words);

}  // namespace flowd::core::cli
