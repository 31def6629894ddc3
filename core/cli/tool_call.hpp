// SPDX-License-Identifier: Apache-2.0
// One call of a tool (flowd/abi/ext/tool.h) in this process. Main thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/cli/app.hpp"
#include "core/config/configuration.hpp"
#include "core/config/registry.hpp"
#include "core/config/value_tree.hpp"
#include "core/modules/tools.hpp"
#include "flowd/result.hpp"

namespace flowd::core::cli {

/// The arguments that are the same for all tools.
struct ToolSite {
    const Registry& registry;
    const GlobalOptions& options;
    std::string name;  ///< flowd_host.instance
    int interrupt_fd;
};

/// `config` null: the component is not configured. `print` receives each JSON value; it returns false if the output is
[[nodiscard]] Result<void> call_tool(const Tool& tool, const ToolSite& site, const ValueTree& values,
                                     const InstanceConfig* config, const std::function<bool(std::string_view)>& print);

}  // namespace flowd::core::cli
