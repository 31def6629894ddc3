// SPDX-License-Identifier: Apache-2.0
// lib/bpf/hook_findings.hpp: findings about interfaces and hooks of a component that attaches programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flowd/findings.hpp"
#include "lib/bpf/attachments.hpp"
#include "lib/bpf/interfaces.hpp"

namespace flowd::bpf {

/// The ids of the findings of a component: stable, documented in docs/monitoring.md.
struct HookFindings {
    const char* interface_missing;
    const char* no_interface;
    const char* hook_removed;
    const char* hook_hidden;
    const char* hook_impossible;
    const char* packets_unseen;
    const char* stacked;
    const char* flowd_go;      ///< its filter on egress, which writes labels as well; null: it does not matter
    std::string_view program;  ///< "the marker's program"
    std::string_view option;   ///< that names the interfaces
    std::string_view below;    ///< what becomes of packets on an interface that another one is stacked on

    /// Findings about the choice of interfaces, also without an instance.
    void add_interfaces(std::vector<Finding>& all, const std::vector<std::string>& missing, bool none_is_present,
                        const Interfaces& interfaces) const;
    void add_hooks(std::vector<Finding>& all, const Attachments& attachments) const;
    /// A note for each of the chosen interfaces that another of them is stacked on. `all_links`: of this host.
    void add_stacked(std::vector<Finding>& all, const std::vector<Link>& chosen, const std::vector<Link>& all_links) const;
    /// Findings without an instance: what prevents an attachment to these interfaces, or runs before it.
    void add_prospects(std::vector<Finding>& all, const std::vector<Link>& links, const std::vector<Direction>& directions,
                       Attach how) const;

  private:
    void add_hidden(std::vector<Finding>& all, const Link& link, const std::vector<Preceding>& preceding) const;
    void add_unseen(std::vector<Finding>& all, const Attachments::State& state) const;
    void add_flowd_go(std::vector<Finding>& all, const Link& link) const;
};

}  // namespace flowd::bpf
