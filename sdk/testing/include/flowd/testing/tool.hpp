// SPDX-License-Identifier: Apache-2.0
// flowd/testing/tool.hpp: runs a tool as flowd-cpp would. One thread.
#pragma once

#include <sys/eventfd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/ext/tool.h"
#include "flowd/abi/module.h"
#include "flowd/sized.hpp"
#include "flowd/testing/config.hpp"
#include "flowd/testing/fake_host.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::testing {

struct ToolRun {
    flowd_result result = FLOWD_NOT_FOUND;  ///< also when the component has no such tool
    std::vector<std::string> printed;       ///< one JSON value each
};

/// `options` are pairs of name and text, as for Config; `config` are the component's own, null if it is not configured.
/// `interrupt_fd` is the descriptor that interrupts the tool; without it, it is never interrupted. Problems: `host`.
inline ToolRun run_tool(FakeHost& host, const flowd_component& component, std::string_view name,
                        const std::vector<std::pair<std::string, std::string>>& options, Config* config = nullptr,
                        int interrupt_fd = -1) {
    ToolRun run;
    const void* offered = component.offline == nullptr ? nullptr : component.offline(FLOWD_EXT_TOOL);
    const auto table = copy_sized<flowd_ext_tool>(offered);
    const UniqueFd never(::eventfd(0, EFD_CLOEXEC));
    flowd_writer writer{};
    writer.size = sizeof writer;
    writer.context = &run.printed;
    writer.write = [](const flowd_writer* self, flowd_string text) -> flowd_result {
        static_cast<std::vector<std::string>*>(self->context)->emplace_back(to_view(text));
        return FLOWD_OK;
    };
    for (const flowd_tool& tool : SizedRange<flowd_tool>(table.tools, table.tool_count, table.tool_stride)) {
        if (name != tool.name) continue;
        Config words(tool.options, tool.option_count, tool.option_stride);
        for (const auto& [path, text] : options) words.set(path, text);
        flowd_tool_call call{};
        call.size = sizeof call;
        call.interrupt_fd = interrupt_fd >= 0 ? interrupt_fd : never.get();
        call.host = host.raw();
        call.options = &words.value();
        call.config = config == nullptr ? nullptr : &config->value();
        call.output = &writer;
        run.result = tool.run(&call);
    }
    return run;
}

}  // namespace flowd::testing
