// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/told.hpp"

#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "flowd/address.hpp"
#include "flowd/label.hpp"
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

template <typename T>
std::optional<T> number_in(std::string_view text) {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

/// "[2001:db8::1]:443"
std::optional<Endpoint> endpoint_in(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto address = Address::parse(text.substr(0, colon));
    const auto port = number_in<std::uint16_t>(text.substr(colon + 1));
    if (!address || !port) return std::nullopt;
    return Endpoint{*address, *port};
}

std::optional<std::uint8_t> protocol_in(std::string_view text) {
    if (text == "tcp") return std::uint8_t{IPPROTO_TCP};
    if (text == "udp") return std::uint8_t{IPPROTO_UDP};
    return number_in<std::uint8_t>(text);
}

void note(std::vector<flowd_tag>& tags, flowd_tag tag) {
    const auto same = [tag](flowd_tag one) { return one.experiment == tag.experiment && one.activity == tag.activity; };
    if (std::none_of(tags.begin(), tags.end(), same)) tags.push_back(tag);
}

flowd_tag tag_at(const dom::element& object, std::string_view experiment, std::string_view activity) {
    return {static_cast<std::uint32_t>(number_at(object, experiment)),
            static_cast<std::uint32_t>(number_at(object, activity))};
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
        const auto protocol = protocol_in(text_at(one, "protocol"));
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
    writes_labels_ = text_at(root, "strategy").starts_with("label") && text_at(root, "mode") != "observe";
    keeps_explicit_ = text_at(root, "policy") == "keepExplicit";
    if (root["interfaces"].get(interfaces) != simdjson::SUCCESS) return not_understood();
    hooks_.clear();
    for (const dom::element one : interfaces) {
        if (text_at(one, "hook") == "absent") continue;
        Hook& hook = hooks_[std::string(text_at(one, "interface"))];
        hook.is_removed = text_at(one, "hook") == "removed";
        hook.repairs = number_at(one, "repairs");
        dom::array preceding;
        if (one["runsBefore"].get(preceding) == simdjson::SUCCESS && preceding.size() != 0) {
            const dom::element first = preceding.at(0);
            hook.runs_before = std::string(text_at(first, "hook")) + " program " + std::string(text_at(first, "name"));
        }
    }
    return {};
}

std::optional<std::uint32_t> Told::label_of(flowd_tag tag, const flow_key& key) const {
    const marker_mark mark = marks_.of(tag, flow_hash(&key));
    if ((mark.label & MARKER_HAS_LABEL) == 0) return std::nullopt;
    return mark.label & MARKER_LABEL_MASK;
}

std::optional<std::uint32_t> Told::catch_all_label(const flow_key& key) const {
    return catch_all_.tags.empty() ? std::nullopt : label_of(catch_all_.tags.back(), key);
}

bool Told::is_registered(std::uint32_t label) const {
    const flowd_tag tag = label::decode(label);
    return !host_.registry().activity_name(tag.experiment, tag.activity).empty();
}

Label Told::judge(const flow_key& key, std::uint32_t label) const {
    const auto known = flows_.find(key);
    const bool is_live = known != flows_.end() && known->second.looks == looks_;
    std::vector<flowd_tag> tags = known == flows_.end() ? std::vector<flowd_tag>() : known->second.tags;
    if (!is_live) tags.insert(tags.end(), catch_all_.tags.begin(), catch_all_.tags.end());
    const bool may_have_none = !is_live && catch_all_.looks != looks_;

    bool has_label = false, is_valid = false;
    for (const flowd_tag tag : tags) {
        const auto expected = label_of(tag, key);
        if (expected == label) return Label::right;
        has_label = has_label || expected.has_value();
        is_valid = is_valid || tag.experiment != 0 || tag.activity != 0;
    }
    const bool has_its_bits = ((label ^ flow_entropy(flow_hash(&key))) & MARKER_ENTROPY_MASK) == 0;
    const bool is_a_tag = has_its_bits && is_registered(label);
    if (!is_live && is_a_tag) return Label::ended;
    if (tags.empty() || may_have_none) return Label::no_tag;
    if (!has_label) return is_valid ? Label::out_of_range : Label::no_valid_tag;
    const flowd_tag seen = label::decode(label);
    const bool is_expected_tag = std::any_of(tags.begin(), tags.end(), [seen](flowd_tag tag) {
        return tag.experiment == seen.experiment && tag.activity == seen.activity;
    });
    return is_a_tag || is_expected_tag ? Label::wrong : Label::missing;
}

}  // namespace flowd::marker
