// SPDX-License-Identifier: Apache-2.0
// The findings of the marker, its explanations of flows, and the interfaces that it publishes.
#include <algorithm>
#include <array>
#include <string>

#include "backends/marker/marker.hpp"
#include "backends/marker/verdicts.hpp"
#include "flowd/address.hpp"
#include "lib/bpf/hook_findings.hpp"
#include "lib/bpf/host_findings.hpp"
#include "lib/bpf/rtnetlink.hpp"

namespace flowd::marker {
namespace {

constexpr bpf::HookFindings ids{"marker-interface-missing",
                                "marker-no-interface",
                                "marker-hook-removed",
                                "marker-hook-hidden",
                                "marker-hook-impossible",
                                "marker-packets-unseen",
                                "marker-interface-stacked",
                                "marker-flowd-go",
                                "the marker's program",
                                "targetInterfaces",
                                "packets are marked above and count once in the totals"};
constexpr bpf::HostFindings host_ids{"marker-capability-missing", "marker-kernel-feature-missing"};

void add_missing_ipv6(std::vector<Finding>& all, Strategy strategy) {
    if (const std::string what = missing_ipv6(strategy); !what.empty())
        all.push_back({FLOWD_LEVEL_WARNING,
                       "marker-no-ipv6",
                       {},
                       what,
                       "packets can carry what markingStrategy " + std::string(name_of(strategy)) + " writes",
                       "boot without ipv6.disable=1, or set markingStrategy: dscp"});
}

/// The flowd-go option is named after a qdisc: an administrator who sets it expects to find one.
void add_tcx_note(std::vector<Finding>& all, const Options& options, const bpf::Attachments& attachments) {
    if (!options.remove_qdisc) return;
    for (const bpf::Attachments::State& state : attachments.states())
        if (std::string_view(state.hook) == "tcx")
            all.push_back({FLOWD_LEVEL_INFO, "marker-tcx-not-in-tc", state.link.name,
                           "the program is attached by TCX, which `tc qdisc show` and `tc filter show` do not list; "
                           "removeQdisc (forceHookRemoval) has no effect",
                           "removeQdisc is set where the hook is clsact",
                           "remove removeQdisc; `bpftool net` lists the program. Or set attach: clsact"});
}

}  // namespace

std::vector<Finding> Marker::findings() const {
    std::vector<Finding> all;
    if (!marking_) return all;
    const bpf::Attachments& attachments = marking_->attachments();
    add_missing_ipv6(all, options_.strategy);
    ids.add_interfaces(all, marking_->missing(), attachments.states().empty(), marking_->interfaces());
    ids.add_hooks(all, attachments);
    if (const auto links = bpf::links()) ids.add_stacked(all, attachments.links(), *links);
    if (marking_->has_lost_flows())
        all.push_back({FLOWD_LEVEL_WARNING,
                       "marker-table-full",
                       {},
                       "the table of " + std::to_string(marking_->table().capacity()) +
                           " flows was full: some live flows are not marked",
                       "room for every live flow",
                       "raise maxFlows"});
    add_tcx_note(all, options_, attachments);
    return all;
}

std::vector<Finding> Marker::host_findings(const Options& options, const Offline& core) {
    std::vector<Finding> all;
    host_ids.add_rights(all);
    host_ids.add_features(all, kernel_needs);
    host_ids.add_features(all, std::array{bpf::requirement_of(options.attach)});
    host_ids.add_jit(all);
    add_missing_ipv6(all, options.strategy);
    const bpf::Interfaces interfaces(choice_of(options));
    const auto found = interfaces.find();
    if (!found) {
        core.log(FLOWD_LEVEL_WARNING, found.error().message);
        return all;
    }
    ids.add_interfaces(all, found->missing, found->present.empty(), interfaces);
    ids.add_prospects(all, found->present, {bpf::Direction::egress}, options.attach);
    if (const auto links = bpf::links()) ids.add_stacked(all, found->present, *links);
    std::vector<Interfaces::Interface> marked;
    for (const bpf::Link& link : found->present)
        marked.push_back(
            {FLOWD_INTERFACE_MARKS, static_cast<std::uint32_t>(link.index), link.name, found->why.at(link.index)});
    if (auto done = core.interfaces().publish(marked); !done) core.log(FLOWD_LEVEL_WARNING, done.error().message);
    return all;
}

void Marker::tell_interfaces() {
    std::vector<Interfaces::Interface> all;
    const TagTable& table = marking_->table();
    std::uint32_t marks = 0;
    if (!table.observes()) {
        marks |= FLOWD_MARKS_IPV6;
        if (table.takes_ipv4()) marks |= FLOWD_MARKS_IPV4;
        if (options_.forwarded) marks |= FLOWD_MARKS_FORWARDED;
    }
    for (const auto& state : marking_->attachments().states())
        all.push_back({FLOWD_INTERFACE_MARKS,
                       static_cast<std::uint32_t>(state.link.index),
                       state.link.name,
                       marking_->why(state.link),
                       {},
                       marks});
    for (const std::string& name : marking_->missing()) all.push_back({FLOWD_INTERFACE_MARKS, 0, name, "configured"});
    if (auto done = host().interfaces().publish(all); !done) host().warning(done.error().message);
}

void Marker::explain(const FlowBatch& flows, Explanations& explanations) const {
    if (!marking_) return;
    std::size_t index = 0;
    for (const flowd_flow& flow : flows) explain(index++, flow, explanations);
    if (index == 1) explain_route(*flows.begin(), explanations);  // many flows are asked about for their labels only
}

void Marker::explain_route(const flowd_flow& flow, Explanations& explanations) const {
    const auto states = marking_->attachments().states();
    if (states.empty()) return;
    const auto route = bpf::leaving_links(flow.key);
    if (!route) return host().warning(route.error().message);
    const auto is_on_route = [&](const auto& state) {
        return std::any_of(route->begin(), route->end(), [&](const auto& link) { return link.index == state.link.index; });
    };
    if (route->empty() || std::any_of(states.begin(), states.end(), is_on_route)) return;
    const auto& [word, text] = text_of(Verdict::other_interface);
    (void)explanations.add(0, {word, route->front().name, text, 0, true});
}

void Marker::explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const {
    const auto refuse = [&](Verdict verdict, std::string_view subject = {}) {
        (void)explanations.add(index, {text_of(verdict).word, subject, text_of(verdict).text, 0, true});
    };
    TagTable& table = marking_->table();
    const bool has_ipv6 = !Address(flow.key.source).is_v4() || !Address(flow.key.destination).is_v4();
    if (flow.key.scope != 0) return refuse(Verdict::other_namespace);
    if (!has_ipv6 && !table.takes_ipv4()) return refuse(Verdict::ipv4);
    if (flow.local == FLOWD_LOCAL_NONE && !options_.forwarded) return refuse(Verdict::forwarded);
    const auto entry = table.entry_of(flow.key);
    const bool marks = entry ? table.carries(*entry) : table.has_catch_all();
    if (entry && !marks)
        return refuse(flow.tag.experiment == 0 && flow.tag.activity == 0 ? Verdict::no_valid_tag
                                                                         : Verdict::tag_out_of_range);
    if (!marks)
        return refuse(flow.flow_id != 0       ? Verdict::not_in_table
                      : flow.end_time_ns != 0 ? Verdict::ended
                                              : Verdict::not_announced);
    if (table.observes()) return refuse(Verdict::observed);
    const auto states = marking_->attachments().states();
    if (states.empty()) return refuse(Verdict::no_interface);
    const marker_mark mark = entry ? *entry : table.catch_all_of(flow.key);
    const bool has_label = table.writes_labels() && (mark.label & MARKER_HAS_LABEL) != 0;
    const auto label = has_label ? std::optional<std::uint32_t>(mark.label & MARKER_LABEL_MASK) : std::nullopt;
    const char* const word = text_of(entry ? Verdict::marked : Verdict::marked_catch_all).word;
    const std::string text = "Outgoing packets carry " + table.describe(mark) + (entry ? "." : ", by the catch-all tag.");
    for (const auto& state : states) {
        if (std::string_view(state.hook) == "removed") {
            refuse(Verdict::hook_removed, state.link.name);
            continue;
        }
        (void)explanations.add(index, {word, state.link.name, text, 0, false, label});
    }
}

}  // namespace flowd::marker
