// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/provenances.hpp"

#include "lib/net/address_hash.hpp"

namespace flowd::firefly_backend {

std::size_t Provenances::Hash::operator()(const Source& source) const {
    return net::hash_of(source.peer) ^ source.path.origin ^ source.path.hops << 16 ^ source.port;
}

/// Beyond the limit, sources share one entry with the maximum of hops, so that their fireflies are not sent again.
std::uint32_t Provenances::number_of(const Source& source) {
    const auto known = numbers_.find(source);
    if (known != numbers_.end()) return known->second;
    if (sources_.size() == most_sources) return most_sources - 1;
    const bool last = sources_.size() == most_sources - 1;
    sources_.push_back(last ? Source{{0, firefly::max_hops}, {}, 0} : source);
    const auto number = static_cast<std::uint32_t>(sources_.size() - 1);
    numbers_.emplace(sources_.back(), number);
    return number;
}

bool Provenances::is_brought(const EventView& event) {
    return !event.attachment(FLOWD_ATTACHMENT_DATAGRAM).empty();
}

std::optional<firefly::Provenance> Provenances::of(const EventView& event) {
    auto said = firefly::parse_provenance(event.attachment(firefly::provenance_attachment));
    const auto known = flows_.find(event->flow_id);
    if (said) {
        const std::uint32_t number = number_of({said->path, said->peer, said->port});
        if (known != flows_.end())
            known->second.source = number;
        else if (flows_.size() < most_flows)
            flows_.emplace(event->flow_id, Flow{number});
    }
    const bool brought = is_brought(event);
    if (!brought && !event.has(FLOWD_LEARNT_REMOTELY)) return std::nullopt;
    if (said) {
        // The receivers stored with the flow are those of an earlier event; of its start, if the flow table repeats that.
        if (!brought && !(event.is_start() && event.has(FLOWD_RESYNC))) said->receivers = {};
        return said;
    }
    if (known == flows_.end()) return std::nullopt;
    const Source& source = sources_[known->second.source];
    return firefly::Provenance{source.path, source.peer, source.port, {}};
}

bool Provenances::admits(const EventView& event, net::TokenBucket::Clock::time_point now) {
    const auto known = flows_.find(event->flow_id);
    return known != flows_.end() && known->second.bucket.take(per_second, burst, now);
}

}  // namespace flowd::firefly_backend
