// SPDX-License-Identifier: Apache-2.0
// Converts the arguments of `flowd-cpp COMPONENT TOOL` to values of the tool's option table. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "core/config/binder.hpp"
#include "core/config/registry.hpp"
#include "core/config/value_tree.hpp"
#include "core/modules/tools.hpp"
#include "flowd/result.hpp"

namespace flowd::core::cli {

/// "--to world", "--to=world", "--often" for a boolean; a list option is repeated for each item. Problems are located in
/// `command` ("flowd-cpp hello greet").
[[nodiscard]] bool bind_tool_words(const Tool& tool, const std::string& command, const std::vector<std::string>& words,
                                   const Registry& registry, const Binder::Trust& trust, ValueTree& values,
                                   Problems& problems);

/// The options of a tool, for `--help`.
[[nodiscard]] std::string tool_help(const Tool& tool, const std::string& command);

}  // namespace flowd::core::cli
