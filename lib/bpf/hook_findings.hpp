// SPDX-License-Identifier: Apache-2.0
// lib/bpf/hook_findings.hpp: what a component that attaches programs finds amiss with its interfaces and hooks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flowd/findings.hpp"
#include "lib/bpf/attachments.hpp"
#include "lib/bpf/interfaces.hpp"

namespace flowd::bpf {

/// How a component names them: stable ids, documented in its README.
struct HookFindings {
    const char* interface_missing;
    const char* no_interface;
    const char* hook_removed;
    const char* hook_hidden;
    std::string_view program;  ///< "the marker's program"
    std::string_view option;   ///< that names the interfaces

    /// Of the choice alone, also without an instance.
    void add_interfaces(std::vector<Finding>& all, const std::vector<std::string>& missing, bool none_is_present,
                        const Interfaces& interfaces) const;
    void add_hooks(std::vector<Finding>& all, const Attachments& attachments) const;
};

}  // namespace flowd::bpf
