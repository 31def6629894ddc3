// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/told.hpp"

#include <simdjson.h>

#include <algorithm>

#include "flowd/address.hpp"
#include "flowd/label.hpp"
#include "flowd/number.hpp"
#include "flowd/protocol.hpp"
#include "lib/bpf/flow_key.hpp"

namespace flowd::marker {
namespace {

namespace dom = simdjson::dom;

std::string_view text_at(const dom::element& object, std::string_view name) {
    std::string_view text;
    return object[name].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

std::uint64_t number_at(const dom::element& object, std::string_view name) {
    std::uint64_t number = 0;
    return object[name].get(number) == simdjson::SUCCESS ? number : 0;
}

/// "[2001:db8::1]:443"
std::optional<Endpoint> endpoint_in(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto address = Address::parse(text.substr(0, colon));
    const auto port = whole_number<std::uint16_t>(text.substr(colon + 1));
    if (!address || !port) return std::nullopt;
    return Endpoint{*address, *port};
}

void note(std::vector<flowd_tag>& tags, flowd_tag tag) {
    const auto same = [tag](flowd_tag one) { return one.experiment == tag.experiment && one.activity == tag.activity; };
    if (std::none_of(tags.begin(), tags.end(), same)) tags.push_back(tag);
}

flowd_tag tag_at(const dom::element& object, std::string_view experiment, std::string_view activity) {
    return {static_cast<std::uint32_t>(number_at(object, experiment)),
            static_cast<std::uint32_t>(number_at(object, activity))};
}

/// Of a strategy by its name.
std::vector<Carrier> carriers_in(std::string_view strategy) {
    std::vector<Carrier> all;
    for (const Strategy one : {Strategy::label, Strategy::hop_by_hop, Strategy::destination,
                               Strategy::hop_by_hop_destination, Strategy::dscp, Strategy::label_dscp}) {
        if (name_of(one) != strategy) continue;
        const std::uint32_t bits = carriers_of(one);
        if ((bits & MARKER_CARRIER_LABEL) != 0) all.push_back(Carrier::label);
        if ((bits & MARKER_CARRIER_HOP_BY_HOP) != 0) all.push_back(Carrier::hop_by_hop);
        if ((bits & MARKER_CARRIER_DESTINATION) != 0) all.push_back(Carrier::destination_options);
        if ((bits & MARKER_CARRIER_DSCP) != 0) all.push_back(Carrier::dscp);
    }
    return all;
}

flowd_tag tag_in(Carrier carrier, std::uint32_t value) {
    return carrier == Carrier::label ? label::decode(value) : flowd_tag{value >> 8, value & 0xff};
}

Error not_understood() {
    return Error{FLOWD_ERROR, "the daemon's answer is not understood", "the daemon and flowd-cpp must be of one release"};
}

}  // namespace

Result<void> Told::look() {
    if (auto done = look_at_marker(); !done) return done;
    if (auto done = look_at_flows(); !done) return done;
    ++looks_;
    return {};
}

Result<void> Told::look_at_flows() {
    const auto answer = daemon_.ask({"flows", "100000"});
    if (!answer) return answer.error();
    dom::parser parser;
    dom::array flows;
    if (parser.parse(*answer)["flows"].get(flows) != simdjson::SUCCESS) return not_understood();
    for (const dom::element one : flows) {
        dom::element scope;
        const auto source = endpoint_in(text_at(one, "source")), destination = endpoint_in(text_at(one, "destination"));
        const auto protocol = parse_protocol(text_at(one, "protocol"));
        const bool is_elsewhere = one["scope"].get(scope) == simdjson::SUCCESS;
        if (!source || !destination || !protocol || is_elsewhere) continue;
        Flow& flow = flows_[bpf::to_flow_key(make_key(*source, *destination, *protocol))];
        note(flow.tags, tag_at(one, "experimentId", "activityId"));
        ++flow.looks;
    }
    return {};
}

Result<void> Told::look_at_marker() {
    const auto answer = daemon_.ask({host_.instance(), "status"});
    if (!answer) return answer.error();
    dom::parser parser;
    dom::element root, catch_all;
    dom::array interfaces;
    if (parser.parse(*answer).get(root) != simdjson::SUCCESS) return not_understood();
    if (root["catchAll"].get(catch_all) == simdjson::SUCCESS && catch_all.is_object()) {
        note(catch_all_.tags, tag_at(catch_all, "experiment", "activity"));
        ++catch_all_.looks;
    }
    carriers_ = carriers_in(text_at(root, "strategy"));
    observes_ = text_at(root, "mode") == "observe";
    keeps_explicit_ = text_at(root, "policy") == "keepExplicit";
    if (root["interfaces"].get(interfaces) != simdjson::SUCCESS) return not_understood();
    hooks_.clear();
    for (const dom::element one : interfaces) {
        if (text_at(one, "hook") == "absent") continue;
        Hook& hook = hooks_[std::string(text_at(one, "interface"))];
        hook.is_removed = text_at(one, "hook") == "removed";
        hook.repairs = number_at(one, "repairs");
        if (dom::element outcomes; one["outcomes"].get(outcomes) == simdjson::SUCCESS && outcomes.is_object())
            for (const char* const name : {"noRoom", "bigPacket", "headerRefused"})
                hook.refused += number_at(outcomes, name);
        dom::array preceding;
        if (one["runsBefore"].get(preceding) == simdjson::SUCCESS && preceding.size() != 0) {
            const dom::element first = preceding.at(0);
            hook.runs_before = std::string(text_at(first, "hook")) + " program " + std::string(text_at(first, "name"));
        }
    }
    return {};
}

const char* name_of(Carrier carrier) {
    switch (carrier) {
        case Carrier::hop_by_hop:
            return "hopByHop";
        case Carrier::destination_options:
            return "destination";
        case Carrier::dscp:
            return "dscp";
        case Carrier::label:
            break;
    }
    return "label";
}

bool Told::has(Carrier carrier) const {
    return std::find(carriers_.begin(), carriers_.end(), carrier) != carriers_.end();
}

std::optional<std::uint32_t> Told::value_of(flowd_tag tag, const flow_key& key, Carrier carrier) const {
    const marker_mark mark = marks_.of(tag, flow_hash(&key));
    switch (carrier) {
        case Carrier::hop_by_hop:
        case Carrier::destination_options:
            if ((mark.rest & MARKER_HAS_OPTION) == 0) return std::nullopt;
            return mark.rest & MARKER_OPTION_MASK;
        case Carrier::dscp:
            if ((mark.rest & MARKER_HAS_DSCP) == 0) return std::nullopt;
            return mark.rest >> MARKER_DSCP_SHIFT & MARKER_DSCP_MASK;
        case Carrier::label:
            break;
    }
    if ((mark.label & MARKER_HAS_LABEL) == 0) return std::nullopt;
    return mark.label & MARKER_LABEL_MASK;
}

std::optional<std::uint32_t> Told::catch_all_label(const flow_key& key) const {
    return catch_all_.tags.empty() ? std::nullopt : value_of(catch_all_.tags.back(), key, Carrier::label);
}

bool Told::is_registered(Carrier carrier, std::uint32_t value) const {
    const flowd_tag tag = tag_in(carrier, value);
    return !host_.registry().activity_name(tag.experiment, tag.activity).empty();
}

bool Told::could_be_ours(const flow_key& key, Carrier carrier, std::uint32_t value) const {
    if (carrier == Carrier::dscp)
        return std::any_of(dscp_map_.begin(), dscp_map_.end(),
                           [value](const DscpRule& rule) { return rule.dscp == value; });
    const bool has_its_bits =
        carrier != Carrier::label || ((value ^ flow_entropy(flow_hash(&key))) & MARKER_ENTROPY_MASK) == 0;
    return has_its_bits && is_registered(carrier, value);
}

Verdict Told::judge(const flow_key& key, Carrier carrier, std::optional<std::uint32_t> value) const {
    const auto known = flows_.find(key);
    const bool is_live = known != flows_.end() && known->second.looks == looks_;
    std::vector<flowd_tag> tags = known == flows_.end() ? std::vector<flowd_tag>() : known->second.tags;
    if (!is_live) tags.insert(tags.end(), catch_all_.tags.begin(), catch_all_.tags.end());
    const bool may_have_none = !is_live && catch_all_.looks != looks_;

    bool has_value = false, is_valid = false, is_expected_tag = false;
    for (const flowd_tag tag : tags) {
        const auto expected = value_of(tag, key, carrier);
        if (expected && expected == value) return Verdict::right;
        has_value = has_value || expected.has_value();
        is_valid = is_valid || tag.experiment != 0 || tag.activity != 0;
        if (!value || carrier == Carrier::dscp) continue;
        const flowd_tag seen = tag_in(carrier, *value);
        is_expected_tag = is_expected_tag || (tag.experiment == seen.experiment && tag.activity == seen.activity);
    }
    const bool is_ours = value && could_be_ours(key, carrier, *value);
    if (!is_live && is_ours) return Verdict::ended;
    if (tags.empty() || may_have_none) return Verdict::no_tag;
    if (!has_value) return is_valid ? Verdict::out_of_range : Verdict::no_valid_tag;
    switch (carrier) {
        case Carrier::label:
            return is_ours || is_expected_tag ? Verdict::wrong : Verdict::missing;
        case Carrier::dscp:
            if (value == 0u) return Verdict::missing;
            return replaces_dscp_ ? Verdict::wrong : Verdict::kept;
        default:
            return value ? Verdict::wrong : Verdict::missing;
    }
}

}  // namespace flowd::marker
