// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/flow_index.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "flowd/counted.hpp"
#include "lib/net/own_sockets.hpp"

namespace flowd::diag {

std::string FlowIndex::summary() const {
    return "sampled " + std::to_string(matched()) + " of " + counted(flows(), "flow") + " in the last period";
}

void FlowIndex::begin() {
    ++period_;
    live_ = other_connections_ = next_ = 0;
    for (Flow& flow : flows_) flow.live = false;
    own_ = net::own_addresses();
}

void FlowIndex::add(const FlowBatch& flows) {
    const auto is_own = [this](const Address& address) {
        return address.is_loopback() || std::find(own_.begin(), own_.end(), address) != own_.end();
    };
    for (const flowd_flow& flow : flows) {
        if (flow.key.scope != 0) continue;
        bool source_is_low = false;
        Flow& own = find_or_add(bpf::to_flow_key(flow.key, &source_is_low));
        if (own.live) continue;
        if (own.id != flow.flow_id) own = {.key = own.key, .id = flow.flow_id};
        own.live = true;
        own.source_is_low = source_is_low;
        own.inside = is_own(Address(flow.key.source)) && is_own(Address(flow.key.destination));
        ++live_;
    }
}

std::optional<FlowIndex::Claim> FlowIndex::claim(const SocketView& socket) {
    bool local_is_low = false;
    Flow* const flow = find(bpf::to_flow_key(socket.key, &local_is_low));
    if (flow == nullptr || !flow->live || flow->seen == period_) return std::nullopt;
    const bool reversed = local_is_low != flow->source_is_low;
    if (reversed && flow->inside) return std::nullopt;

    if (flow->seen == 0) flow->cookie = socket.cookie;
    if (flow->cookie != socket.cookie) {
        ++other_connections_;
        return std::nullopt;
    }
    flow->seen = period_;
    return Claim{flow->id, reversed};
}

void FlowIndex::finish(bool complete, Clock::time_point now, const std::function<void(std::uint64_t)>& gone) {
    if (std::erase_if(flows_, [](const Flow& flow) { return !flow.live; }) != 0) {
        if (flows_.capacity() / 4 > flows_.size()) flows_.shrink_to_fit();
        fill_slots();
    }
    const auto before = std::exchange(missing_, {});
    matched_ = 0;
    for (Flow& flow : flows_) {
        if (flow.seen == 0) continue;
        ++matched_;
        if (flow.seen == period_) continue;
        const auto known = before.find(flow.id);
        if (known == before.end() && !complete) continue;
        const auto since = known == before.end() ? now : known->second;
        if (complete && now - since >= gone_after_) {
            gone(flow.id);
            flow.seen = 0;
            --matched_;
        } else {
            missing_.emplace(flow.id, since);
        }
    }
}

FlowIndex::Flow* FlowIndex::find(const flow_key& key) {
    if (slots_.empty()) return nullptr;
    const std::uint64_t hash = flow_hash(&key);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask; slots_[at].flow != 0; at = (at + 1) & mask) {
        if (slots_[at].hash != hash >> 32) continue;
        Flow& flow = flows_[slots_[at].flow - 1];
        if (flow_key_difference(&flow.key, &key) == 0) return &flow;
    }
    return nullptr;
}

FlowIndex::Flow& FlowIndex::find_or_add(const flow_key& key) {
    const bool expected = next_ < flows_.size() && flow_key_difference(&flows_[next_].key, &key) == 0;
    if (const Flow* const known = expected ? nullptr : find(key)) {
        next_ = static_cast<std::size_t>(known - flows_.data());
    } else if (!expected) {
        next_ = flows_.size();
        flows_.push_back({.key = key});
        if (2 * flows_.size() > slots_.size())
            fill_slots();
        else
            put(next_);
    }
    return flows_[next_++];
}

void FlowIndex::put(std::size_t place) {
    const std::uint64_t hash = flow_hash(&flows_[place].key);
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at].flow != 0) at = (at + 1) & mask;
    slots_[at] = {static_cast<std::uint32_t>(hash >> 32), static_cast<std::uint32_t>(place + 1)};
}

void FlowIndex::fill_slots() {
    slots_.clear();  // if assign() throws, no slot may refer to a flow that was erased
    slots_.assign(std::bit_ceil(2 * flows_.size() + 1), {});
    for (std::size_t place = 0; place < flows_.size(); ++place) put(place);
}

void FlowIndex::Claim::give_usage(const flowd_usage& of_socket, flowd_sample& sample) const {
    sample.usage = of_socket;
    sample.usage.source = FLOWD_USAGE_KERNEL;
    sample.usage.known = FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS;
    if (!reversed) return;
    std::swap(sample.usage.bytes_sent, sample.usage.bytes_received);
    std::swap(sample.usage.packets_sent, sample.usage.packets_received);
}

}  // namespace flowd::diag
