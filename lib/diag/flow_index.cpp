// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/flow_index.hpp"

#include <algorithm>
#include <utility>

#include "flowd/counted.hpp"
#include "lib/net/own_sockets.hpp"

namespace flowd::diag {

std::string FlowIndex::summary() const {
    return "sampled " + std::to_string(matched()) + " of " + counted(flows(), "flow") + " in the last period";
}

void FlowIndex::begin() {
    flows_.clear();
    other_connections_ = 0;
    ++period_;
    own_ = net::own_addresses();
}

void FlowIndex::add(const FlowBatch& flows) {
    const auto is_own = [this](const Address& address) {
        return address.is_loopback() || std::find(own_.begin(), own_.end(), address) != own_.end();
    };
    for (const flowd_flow& flow : flows) {
        if (flow.key.scope != 0) continue;
        const Endpoint source = source_of(flow.key);
        const bool inside = is_own(source.address) && is_own(destination_of(flow.key).address);
        flows_.try_emplace(bpf::to_flow_key(flow.key), Entry{flow.flow_id, source, inside, false});
    }
}

std::optional<FlowIndex::Claim> FlowIndex::claim(const SocketView& socket) {
    const auto found = flows_.find(bpf::to_flow_key(socket.key));
    if (found == flows_.end()) return std::nullopt;
    Entry& flow = found->second;
    const bool reversed = source_of(socket.key) != flow.source;
    if (flow.claimed || (reversed && flow.inside)) return std::nullopt;

    const auto [known, is_new] = sockets_.try_emplace(flow.flow_id);
    Socket& own = known->second;
    if (is_new) own.cookie = socket.cookie;
    if (own.cookie != socket.cookie) {
        ++other_connections_;
        return std::nullopt;
    }
    own.period = period_;
    own.missing_since = {};
    flow.claimed = true;
    return Claim{flow.flow_id, reversed};
}

void FlowIndex::finish(bool complete, Clock::time_point now, const std::function<void(std::uint64_t)>& gone) {
    for (auto& [id, socket] : sockets_) socket.live = false;
    for (const auto& [key, flow] : flows_) {
        const auto found = sockets_.find(flow.flow_id);
        if (found == sockets_.end()) continue;
        Socket& socket = found->second;
        socket.live = true;
        if (!complete || socket.period == period_) continue;
        if (socket.missing_since == Clock::time_point{}) socket.missing_since = now;
        if (now - socket.missing_since < gone_after_) continue;
        gone(flow.flow_id);
        socket.live = false;
    }
    std::erase_if(sockets_, [](const auto& entry) { return !entry.second.live; });
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
