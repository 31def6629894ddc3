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

/// One tool, complete and checked. Lives as long as the process, as its module does.
struct Tool {
    std::string name;
    std::string summary;
    OptionTable options;
    flowd_result (*run)(const flowd_tool_call* call) = nullptr;
};

/// What the component offers; empty when it has none. The error names the row and what is wrong with it.
[[nodiscard]] Result<std::vector<Tool>> read_tools(const flowd_component& component);

}  // namespace flowd::core
