// SPDX-License-Identifier: Apache-2.0
// Where the news of each live flow came from, for the events that do not say it themselves. Belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "flowd/event.hpp"
#include "lib/firefly/provenance.hpp"
#include "lib/net/token_buckets.hpp"

namespace flowd::firefly_backend {

/// Flows that were learnt from fireflies, 1,048,576 at most. Periodic `ongoing` events bring no attachment: what was learnt
/// with the flow's last firefly is true of them.
class Provenances {
  public:
    /// Three `ongoing` at once, then one in five seconds, of each flow: bounds what circulates through a third-party relay
    /// that does not repeat the member `flowd`.
    static constexpr double burst = 3, per_second = 0.2;

    /// Whether a firefly brought the event itself.
    [[nodiscard]] static bool is_brought(const EventView& event);
    /// Where an event comes from: the firefly that brought it, or, if all announcers of its flow learnt it from fireflies,
    /// the last of these. Nothing: it was announced on this host. The receivers are those of the event's own firefly.
    /// Remembers it until forget().
    [[nodiscard]] std::optional<firefly::Provenance> of(const EventView& event);
    /// Whether an `ongoing` that a firefly brought is sent on now.
    [[nodiscard]] bool admits(const EventView& event, net::TokenBucket::Clock::time_point now);
    void forget(const EventView& event) { flows_.erase(event->flow_id); }

  private:
    static constexpr std::size_t most_flows = 1u << 20, most_sources = 1u << 16;

    struct Source {
        firefly::Path path;
        Address peer;
        std::uint16_t port = 0;
        friend bool operator==(const Source&, const Source&) = default;
    };
    struct Hash {
        std::size_t operator()(const Source& source) const;
    };
    struct Flow {
        std::uint32_t source = 0;  ///< of sources_
        net::TokenBucket bucket{burst, {}};
    };
    [[nodiscard]] std::uint32_t number_of(const Source& source);

    std::unordered_map<std::uint64_t, Flow> flows_;
    std::vector<Source> sources_;
    std::unordered_map<Source, std::uint32_t, Hash> numbers_;
};

}  // namespace flowd::firefly_backend
