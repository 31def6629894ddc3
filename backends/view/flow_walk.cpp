// SPDX-License-Identifier: Apache-2.0
#include "backends/view/flow_walk.hpp"

#include <algorithm>
#include <string_view>

#include "flowd/event.hpp"
#include "flowd/key.hpp"

namespace flowd::view {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_shown_networks = 20;
constexpr std::int64_t shortest_hold_ns = 3'000'000'000;

[[nodiscard]] std::int64_t monotonic_ns() {
    return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
}

/// Out of this host is "sent", unless only the destination is local.
[[nodiscard]] Traffic traffic_of(const flowd_flow& flow, const Rate& rate) {
    if (flow.local == FLOWD_LOCAL_DESTINATION) return {1, rate.received, rate.sent};
    return {1, rate.sent, rate.received};
}

[[nodiscard]] Network remote_network(const flowd_flow& flow) {
    const Address remote =
        flow.local == FLOWD_LOCAL_DESTINATION ? source_of(flow.key).address : destination_of(flow.key).address;
    Address::Bytes bytes = remote.bytes();
    const std::uint8_t length = remote.is_v4() ? 120 : 48;
    std::fill(bytes.begin() + length / 8, bytes.end(), std::uint8_t{0});
    return {Address(bytes), length};
}

}  // namespace

std::size_t FlowWalk::HashOfBytes::operator()(const std::array<std::uint8_t, 16>& bytes) const {
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void FlowWalk::begin() {
    under_way_ = true;
    ++walk_;
    cursor_ = 0;
    spent_ = {};
    all_next_ = {};
    tags_next_.clear();
    networks_.clear();
    now_ns_ = unix_time_ns();
    monotonic_ns_ = monotonic_ns();
    active_.clear();
    std::erase_if(selections_, [](const auto& selection) { return selection.expired(); });
    for (const auto& selection : selections_)
        if (auto held = selection.lock()) active_.push_back(std::move(held));
    for (const auto& selection : active_) selection->begin();
}

bool FlowWalk::step() {
    if (!under_way_) return false;
    const auto begin = Clock::now();
    const auto done = flows_.page(nullptr, cursor_, step_size, [this](const flowd_flow& flow) { take(flow); });
    if (!done || cursor_ == 0) finish();
    spent_ += Clock::now() - begin;
    if (!under_way_) cost_ = spent_;
    return under_way_;
}

Rate FlowWalk::rate_of(const flowd_flow& flow) {
    if ((flow.usage.known & FLOWD_USAGE_BYTES) == 0) return {};
    auto found = tracks_.find(flow.flow_id);
    if (found == tracks_.end()) {
        if (tracks_.size() >= most_rates) return {};
        found = tracks_.try_emplace(flow.flow_id).first;
        found->second = {flow.usage.bytes_sent, flow.usage.bytes_received, monotonic_ns_, 0, walk_, {}};
        return {};
    }
    Track& track = found->second;
    track.walk = walk_;
    const std::int64_t since = monotonic_ns_ - track.changed_ns;
    // The first rate of a flow is shown early.
    const bool is_due = since >= (track.interval_ns == 0 ? shortest_ns_ / 2 : shortest_ns_);
    if (is_due && (flow.usage.bytes_sent > track.sent || flow.usage.bytes_received > track.received)) {
        const double seconds = static_cast<double>(std::max<std::int64_t>(since, 1)) / 1e9;
        track.rate = {static_cast<double>(flow.usage.bytes_sent - track.sent) / seconds,
                      static_cast<double>(flow.usage.bytes_received - track.received) / seconds};
        track.sent = flow.usage.bytes_sent;
        track.received = flow.usage.bytes_received;
        track.interval_ns = since;
        track.changed_ns = monotonic_ns_;
    } else if (since > std::max(shortest_hold_ns, 2 * track.interval_ns)) {
        track.rate = {};  // it is idle; before, it may just not have been measured again
    }
    return track.rate;
}

void FlowWalk::take(const flowd_flow& flow) {
    const Rate rate = rate_of(flow);
    const Traffic traffic = traffic_of(flow, rate);
    all_next_.add(traffic);
    const Tag tag{flow.tag.experiment, flow.tag.activity};
    const bool has_tag = tags_next_.size() < most_tags || tags_next_.contains(tag);
    tags_next_[has_tag ? tag : other].add(traffic);
    const Address::Bytes bytes = remote_network(flow).address.bytes();
    if (networks_.size() < most_networks || networks_.contains(bytes)) networks_[bytes].add(traffic);
    for (const auto& selection : active_) selection->take(flow, rate, now_ns_);
}

void FlowWalk::finish() {
    under_way_ = false;
    all_ = all_next_;
    tags_.swap(tags_next_);
    std::erase_if(tracks_, [&](const auto& entry) { return entry.second.walk != walk_; });
    largest_.clear();
    for (const auto& [bytes, traffic] : networks_) {
        const Address address(bytes);
        largest_.push_back({{address, static_cast<std::uint8_t>(address.is_v4() ? 120 : 48)}, traffic});
    }
    const auto is_larger = [](const auto& a, const auto& b) {
        const double left = a.second.out + a.second.in, right = b.second.out + b.second.in;
        return left != right ? left > right : a.second.flows > b.second.flows;
    };
    const auto end = largest_.begin() + static_cast<std::ptrdiff_t>(std::min(largest_.size(), most_shown_networks));
    std::partial_sort(largest_.begin(), end, largest_.end(), is_larger);
    largest_.erase(end, largest_.end());
    for (const auto& selection : active_) selection->end();
    active_.clear();
}

void FlowWalk::rest() {
    if (under_way_) return;
    tracks_ = {};
    networks_ = {};
}

}  // namespace flowd::view
