// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/hook_findings.hpp"

#include <algorithm>
#include <utility>

#include "lib/kernel/features.hpp"

namespace flowd::bpf {
namespace {

constexpr std::string_view flowd_go_program = "marker";  // the name that flowd-go gives its program

}  // namespace

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
    for (const Attachments::State& state : attachments.states()) {
        if (std::string_view(state.hook) == "removed")
            all.push_back({FLOWD_LEVEL_ERROR, hook_removed, state.link.name,
                           std::string(program) + " was removed and cannot be attached again", "it is attached",
                           "stop what removed it, then reload"});
        add_hidden(all, state.link, state.preceding);
        add_unseen(all, state);
        add_flowd_go(all, state.link);
    }
}

void HookFindings::add_unseen(std::vector<Finding>& all, const Attachments::State& state) const {
    if (state.unseen == 0) return;
    all.push_back(
        {FLOWD_LEVEL_WARNING, packets_unseen, state.link.name,
         "the interface sent " + std::to_string(state.unseen) + " packets of which " + std::string(program) + " saw 0",
         "it sees what the interface sends",
         state.preceding.empty() ? "see `bpftool net`: XDP, AF_XDP and packet sockets that bypass the qdisc do "
                                   "not pass this hook"
                                 : "remove what runs before it, or attach that after it"});
}

void HookFindings::add_stacked(std::vector<Finding>& all, const std::vector<Link>& chosen,
                               const std::vector<Link>& all_links) const {
    const std::vector<Link> top = uppermost(chosen, all_links);
    for (const Link& link : chosen)
        if (std::none_of(top.begin(), top.end(), [&](const Link& one) { return one.index == link.index; }))
            all.push_back(
                {FLOWD_LEVEL_INFO, stacked, link.name, "another chosen interface is stacked on it: " + std::string(below),
                 "one interface of a stack is chosen", "none is needed; or leave it out of " + std::string(option)});
}

void HookFindings::add_prospects(std::vector<Finding>& all, const std::vector<Link>& links,
                                 const std::vector<Direction>& directions, Attach how) const {
    const bool on_clsact = how == Attach::clsact || (how == Attach::automatic && kernel::Features().lacking("TCX"));
    for (const Link& link : links) {
        auto possible = check_hardware(link);
        if (possible && on_clsact)
            if (auto qdisc = find_clsact(link.index); !qdisc) possible = std::move(qdisc).error();
        if (!possible) {
            all.push_back({FLOWD_LEVEL_ERROR, hook_impossible, link.name, possible.error().message,
                           std::string(program) + " can be attached", possible.error().hint});
            continue;
        }
        std::vector<Preceding> preceding;
        for (const Direction direction : directions)
            for (Preceding& other : find_preceding(link, direction, on_clsact)) preceding.push_back(std::move(other));
        add_hidden(all, link, preceding);
        add_flowd_go(all, link);
    }
}

void HookFindings::add_hidden(std::vector<Finding>& all, const Link& link, const std::vector<Preceding>& preceding) const {
    const std::string ours(program);
    std::string others;
    std::size_t count = 0;
    for (const Preceding& other : preceding) {
        if (flowd_go != nullptr && is_program(other.kind, other.name, flowd_go_program)) continue;  // a separate finding
        others += (count++ == 0 ? "" : ", ") + other.describe();
    }
    if (count == 0) return;
    all.push_back({FLOWD_LEVEL_WARNING, hook_hidden, link.name,
                   others + (count == 1 ? " runs" : " run") + " before " + ours + " and may hide packets from it",
                   ours + " runs first", "remove it, or attach it after " + ours});
}

/// The finding about a flowd-go that runs, or that has ended without removing its filter.
void HookFindings::add_flowd_go(std::vector<Finding>& all, const Link& link) const {
    if (flowd_go == nullptr) return;
    const auto filters = list_filters(link.index, Direction::egress);
    if (!filters) return;
    const auto filter = std::find_if(filters->begin(), filters->end(),
                                     [](const Filter& one) { return is_program(one.kind, one.name, flowd_go_program); });
    if (filter != filters->end())
        all.push_back({FLOWD_LEVEL_WARNING, flowd_go, link.name,
                       "a tc filter 'marker' of priority " + std::to_string(filter->priority) +
                           " is attached, as flowd-go leaves behind: it writes flow labels too",
                       "only " + std::string(program) + " writes flow labels",
                       "stop flowd-go; then: tc filter del dev " + link.name + " egress prio " +
                           std::to_string(filter->priority) + " handle " + std::to_string(filter->handle) + " bpf"});
}

}  // namespace flowd::bpf
