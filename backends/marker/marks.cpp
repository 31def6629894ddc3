// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/marks.hpp"

#include <cstdio>

#include "bpf/lib/flow_hash.h"
#include "flowd/label.hpp"
#include "lib/net/no_ipv6.hpp"

namespace flowd::marker {

static_assert(label::mask == MARKER_LABEL_MASK && label::entropy_mask == MARKER_ENTROPY_MASK);

namespace {

// The extension header has 16 bits for the experiment and 8 for the activity.
constexpr std::uint32_t max_option_experiment = 0xffff;
constexpr std::uint32_t max_option_activity = 0xff;

}  // namespace

std::uint32_t carriers_of(Strategy strategy) {
    switch (strategy) {
        case Strategy::hop_by_hop:
            return MARKER_CARRIER_HOP_BY_HOP;
        case Strategy::destination:
            return MARKER_CARRIER_DESTINATION;
        case Strategy::hop_by_hop_destination:
            return MARKER_CARRIER_HOP_BY_HOP | MARKER_CARRIER_DESTINATION;
        case Strategy::dscp:
            return MARKER_CARRIER_DSCP;
        case Strategy::label_dscp:
            return MARKER_CARRIER_LABEL | MARKER_CARRIER_DSCP;
        case Strategy::label:
            break;
    }
    return MARKER_CARRIER_LABEL;
}

const char* name_of(Strategy strategy) {
    switch (strategy) {
        case Strategy::hop_by_hop:
            return "hopByHop";
        case Strategy::destination:
            return "destination";
        case Strategy::hop_by_hop_destination:
            return "hopByHopDestination";
        case Strategy::dscp:
            return "dscp";
        case Strategy::label_dscp:
            return "label+dscp";
        case Strategy::label:
            break;
    }
    return "label";
}

std::string missing_ipv6(Strategy strategy) {
    if (strategy == Strategy::dscp || !net::lacks_ipv6()) return {};
    const std::string fact = "this kernel has no IPv6 (it was booted with ipv6.disable=1, or built without): ";
    if (strategy == Strategy::label_dscp) return fact + "IPv4 packets get their DSCP, there are no packets for a label";
    return fact + "nothing is marked, because markingStrategy " + name_of(strategy) +
           " marks IPv6 packets only; dscp marks IPv4";
}

bool can_mark(Strategy strategy) {
    return (carriers_of(strategy) & MARKER_CARRIER_DSCP) != 0 || !net::lacks_ipv6();
}

std::optional<std::uint32_t> Marks::dscp_of(flowd_tag tag) const {
    std::optional<std::uint32_t> found;
    for (const DscpRule& rule : dscp_) {
        if (rule.experiment != tag.experiment) continue;
        if (rule.activity == tag.activity) return rule.dscp;
        if (!rule.activity) found = rule.dscp;
    }
    return found;
}

marker_mark Marks::of(flowd_tag tag, std::uint64_t hash) const {
    marker_mark mark = of_catch_all(tag);
    if ((mark.label & MARKER_HAS_LABEL) != 0) mark.label |= flow_entropy(hash) & MARKER_ENTROPY_MASK;
    return mark;
}

marker_mark Marks::of_catch_all(flowd_tag tag) const {
    marker_mark mark{MARKER_IS_SET, 0};
    if (tag.experiment == 0 && tag.activity == 0) return mark;
    if (const auto label = label::encode(tag)) mark.label |= MARKER_HAS_LABEL | *label;
    if (tag.experiment <= max_option_experiment && tag.activity <= max_option_activity)
        mark.rest |= MARKER_HAS_OPTION | tag.experiment << 8 | tag.activity;
    if (const auto dscp = dscp_of(tag)) mark.rest |= MARKER_HAS_DSCP | *dscp << MARKER_DSCP_SHIFT;
    return mark;
}

bool Marks::carries(marker_mark mark) const {
    if ((carriers_ & MARKER_CARRIER_LABEL) != 0 && (mark.label & MARKER_HAS_LABEL) != 0) return true;
    if ((carriers_ & MARKER_CARRIER_DSCP) != 0 && (mark.rest & MARKER_HAS_DSCP) != 0) return true;
    return (carriers_ & MARKER_CARRIER_HEADERS) != 0 && (mark.rest & MARKER_HAS_OPTION) != 0;
}

std::string Marks::describe(marker_mark mark) const {
    std::string text;
    const auto add = [&text](const std::string& what) { text += (text.empty() ? "" : " and ") + what; };
    if ((carriers_ & MARKER_CARRIER_LABEL) != 0 && (mark.label & MARKER_HAS_LABEL) != 0) {
        char label[16];
        std::snprintf(label, sizeof label, "0x%05x", mark.label & MARKER_LABEL_MASK);
        add(std::string("flow label ") + label);
    }
    if (const auto tag = tag_of(mark); tag && (carriers_ & MARKER_CARRIER_HEADERS) != 0)
        add("an extension header with " + std::to_string(tag->experiment) + "/" + std::to_string(tag->activity));
    if ((carriers_ & MARKER_CARRIER_DSCP) != 0 && (mark.rest & MARKER_HAS_DSCP) != 0)
        add("DSCP " + std::to_string(mark.rest >> MARKER_DSCP_SHIFT & MARKER_DSCP_MASK));
    return text;
}

std::optional<flowd_tag> tag_of(marker_mark mark) {
    if ((mark.rest & MARKER_HAS_OPTION) == 0) return std::nullopt;
    const std::uint32_t option = mark.rest & MARKER_OPTION_MASK;
    return flowd_tag{option >> 8, option & 0xff};
}

void fill_labels(marker_config& config) {
    std::uint32_t experiment = 0;
    for (auto& label : config.experiment_labels) label = label::encode({experiment++, 0}).value_or(0);
    std::uint32_t activity = 0;
    for (auto& label : config.activity_labels) label = label::encode({0, activity++}).value_or(0);
}

}  // namespace flowd::marker
