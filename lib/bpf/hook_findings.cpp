// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/hook_findings.hpp"

namespace flowd::bpf {

void HookFindings::add_interfaces(std::vector<Finding>& all, const std::vector<std::string>& missing, bool none_is_present,
                                  const Interfaces& interfaces) const {
    for (const std::string& name : missing)
        all.push_back({FLOWD_LEVEL_WARNING, interface_missing, name, "the interface does not exist",
                       "an interface of this name", "create it, or remove it from " + std::string(option)});
    if (none_is_present)
        all.push_back({FLOWD_LEVEL_WARNING,
                       no_interface,
                       {},
                       "no interface matches the configuration (" + interfaces.describe() + ")",
                       "at least one interface",
                       "name it in " + std::string(option) + "; `ip -brief link` lists what exists"});
}

void HookFindings::add_hooks(std::vector<Finding>& all, const Attachments& attachments) const {
    const std::string ours(program);
    for (const Attachments::State& state : attachments.states()) {
        if (std::string_view(state.hook) == "removed")
            all.push_back({FLOWD_LEVEL_ERROR, hook_removed, state.link.name,
                           ours + " was removed and cannot be attached again", "it is attached",
                           "stop what removed it, then reload"});
        for (const Preceding& other : state.preceding)
            all.push_back({FLOWD_LEVEL_WARNING, hook_hidden, state.link.name,
                           other.describe() + " runs before " + ours + " and may hide packets from it",
                           ours + " runs first", "remove it, or attach it after " + ours});
    }
}

}  // namespace flowd::bpf
