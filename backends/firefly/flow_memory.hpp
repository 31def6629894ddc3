// SPDX-License-Identifier: Apache-2.0
// State of live flows between events. Belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace flowd::firefly_backend {

/// Why no firefly was sent for an event, or not to one of its receivers. Appended to, never reordered: metric labels.
enum class Skip : std::uint8_t {
    protocol,      ///< neither tcp nor udp: the schema allows no other
    port,          ///< port 0
    address,       ///< unspecified, or of two families
    size,          ///< the core members do not fit maxSize
    received,      ///< to the destination: learnt from a firefly, which could loop
    metered,       ///< to the destination: the plugin forbids it (FLOWD_NOT_TO_PEER), as perfsonar does for metered flows
    not_a_host,    ///< to the destination: a multicast group, or link-local without a zone
    ourselves,     ///< to the destination: this daemon itself receives there
    relayed,       ///< to a collector: a plugin has relayed the original to it already
    hops,          ///< too many daemons have printed it already
    peer,          ///< to the sender of the received firefly
    limited,       ///< ongoing: the rate limit for received fireflies of a flow was exceeded
    unregistered,  ///< to a collector with privacy.onlyRegisteredTags
    none,          ///< it was sent
};

/// 1,048,576 flows at most: the end of a further flow has no round trip time, and the flow cannot be explained.
class FlowMemory {
  public:
    static constexpr std::size_t most = 1u << 20;

    struct Flow {
        double rtt_ms = 0;                   ///< the latest; stored for the end, because only `ongoing` has samples
        std::int64_t sent_ns = 0;            ///< Unix time of the last firefly; 0: none
        std::uint64_t collectors = 0;        ///< Collector::bit of those that the last firefly was sent to
        std::uint64_t informed = 0;          ///< Collector::bit of those that any firefly was sent to
        std::uint32_t kind = 0;              ///< FLOWD_EVENT_*
        Skip collector_skip = Skip::none;    ///< why it was not sent to one of the collectors
        Skip destination_skip = Skip::none;  ///< why it was not sent to the destination
        bool destination_knows = false;      ///< a firefly of this flow was sent to its destination, so its end is, too
    };

    /// Null: unknown.
    [[nodiscard]] Flow* find(std::uint64_t flow_id) {
        const auto known = flows_.find(flow_id);
        return known == flows_.end() ? nullptr : &known->second;
    }
    [[nodiscard]] const Flow* find(std::uint64_t flow_id) const {
        const auto known = flows_.find(flow_id);
        return known == flows_.end() ? nullptr : &known->second;
    }
    /// Null when the flow is unknown and the memory is full. Valid until forget().
    [[nodiscard]] Flow* of(std::uint64_t flow_id) { return flows_.size() < most ? &flows_[flow_id] : find(flow_id); }
    void forget(std::uint64_t flow_id) { flows_.erase(flow_id); }

  private:
    std::unordered_map<std::uint64_t, Flow> flows_;
};

}  // namespace flowd::firefly_backend
