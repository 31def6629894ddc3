// SPDX-License-Identifier: Apache-2.0
// The tools that a component offers (flowd/abi/ext/tool.h), read from its sized structs. Any thread.
#pragma once

#include <string>
#include <vector>

#include "core/config/option.hpp"
#include "flowd/abi/ext/tool.h"
#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// One tool, complete and checked. Valid until the process ends, like its module.
struct Tool {
    std::string name;
    std::string summary;
    OptionTable options;
    flowd_result (*run)(const flowd_tool_call* call) = nullptr;
};

/// The tools of a component; empty if there are none. The error names the row and the reason.
[[nodiscard]] Result<std::vector<Tool>> read_tools(const flowd_component& component);

}  // namespace flowd::core
