// SPDX-License-Identifier: Apache-2.0
// The findings of the meter: interfaces and hooks, and traffic that is marked but not announced.
#include <algorithm>
#include <array>
#include <chrono>

#include "lib/bpf/hook_findings.hpp"
#include "lib/bpf/host_findings.hpp"
#include "plugins/perfsonar/perfsonar.hpp"

namespace flowd::perfsonar {
namespace {

constexpr bpf::HookFindings ids{"perfsonar-interface-missing",
                                "perfsonar-no-interface",
                                "perfsonar-hook-removed",
                                "perfsonar-hook-hidden",
                                "perfsonar-hook-impossible",
                                "perfsonar-packets-unseen",
                                "perfsonar-interface-stacked",
                                nullptr,
                                "the meter's program",
                                "interfaces",
                                "packets are metered above, once"};
constexpr bpf::HostFindings host_ids{"perfsonar-capability-missing", "perfsonar-kernel-feature-missing"};

constexpr std::chrono::minutes full_lasts{10};  // as losses of the core

void add_unmetered(std::vector<Finding>& all, const std::vector<bpf::Link>& metered, const Interfaces& published) {
    const auto links = bpf::links();
    if (!links) return;
    const std::size_t stacks = bpf::uppermost(metered, *links).size();
    for (const Interfaces::Interface& marked : published.list()) {
        const auto link = std::find_if(links->begin(), links->end(), [&](const bpf::Link& each) {
            return static_cast<std::uint32_t>(each.index) == marked.index;
        });
        if (marked.use != FLOWD_INTERFACE_MARKS || link == links->end()) continue;
        const auto is_it = [&](const bpf::Link& each) { return each.index == link->index; };
        if (std::any_of(metered.begin(), metered.end(), is_it)) continue;
        // One stack more: it is not in the stack of a metered interface.
        std::vector<bpf::Link> both = metered;
        both.push_back(*link);
        if (bpf::uppermost(both, *links).size() > stacks)
            all.push_back({FLOWD_LEVEL_WARNING, "perfsonar-not-metered", link->name,
                           "it is marked and not metered: its flows are not announced", "marked interfaces are metered",
                           "add it to interfaces, or leave interfaces out"});
    }
}

}  // namespace

std::vector<Finding> Perfsonar::findings() const {
    return metering_ ? metering_->findings() : std::vector<Finding>();
}

std::vector<Finding> Perfsonar::host_findings(const Options& options, const Offline& core) {
    std::vector<Finding> all;
    if (!options.flows) return all;
    host_ids.add_rights(all);
    host_ids.add_features(all, kernel_needs);
    host_ids.add_features(all, std::array{bpf::requirement_of(options.attach)});
    host_ids.add_features(all, std::array{kernel_memory}, FLOWD_LEVEL_WARNING);
    host_ids.add_jit(all);
    const bpf::Interfaces interfaces(options.interface_choice());
    const auto found = interfaces.find();
    if (!found) {
        core.log(FLOWD_LEVEL_WARNING, found.error().message);
        return all;
    }
    // Without `interfaces`, it also meters where another instance marks.
    if (!options.interfaces.empty()) {
        ids.add_interfaces(all, found->missing, found->present.empty(), interfaces);
        add_unmetered(all, found->present, core.interfaces());
    }
    const auto links = bpf::links();
    if (!links) return all;
    ids.add_prospects(all, bpf::uppermost(found->present, *links), {bpf::Direction::ingress, bpf::Direction::egress},
                      options.attach);
    ids.add_stacked(all, found->present, *links);
    return all;
}

std::vector<Finding> Metering::findings() const {
    std::vector<Finding> all;
    ids.add_interfaces(all, missing_, attachments_->states().empty(), interfaces_);
    ids.add_hooks(all, *attachments_);
    if (const auto links = bpf::links()) ids.add_stacked(all, chosen_, *links);
    if (last_no_room_ && std::chrono::steady_clock::now() - *last_no_room_ < full_lasts)
        all.push_back(
            {FLOWD_LEVEL_WARNING,
             "perfsonar-table-full",
             {},
             "the table of " + std::to_string(program_.state().max_flows) + " flows was full: some flows are not metered",
             "room for every flow",
             "raise maxFlows, or make idleTimeout shorter"});
    add_unmetered(all, attachments_->links(), host_.interfaces());
    return all;
}

}  // namespace flowd::perfsonar
