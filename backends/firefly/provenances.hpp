// SPDX-License-Identifier: Apache-2.0
// The origin of each live flow, for events without that information. Belongs to one thread.
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

/// Flows that were learnt from fireflies, 1,048,576 at most. Periodic `ongoing` events have no attachment: the origin of
/// the flow's last firefly applies to them.
class Provenances {
  public:
    /// Per flow a burst of three `ongoing`, then one in five seconds: bounds loops through a third-party relay that drops
    /// the member `flowd`.
    static constexpr double burst = 3, per_second = 0.2;

    /// Whether the event itself was received as a firefly.
    [[nodiscard]] static bool is_brought(const EventView& event);
    /// The origin of an event: its own firefly, or, if all announcers of its flow learnt it from fireflies, the last of
    /// these. Empty: it was announced on this host. The receivers are those of the event's own firefly. Stored until
    /// forget().
    [[nodiscard]] std::optional<firefly::Provenance> of(const EventView& event);
    /// Whether an `ongoing` that was received as a firefly is sent now.
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
        std::uint32_t source = 0;  ///< index into sources_
        net::TokenBucket bucket{burst, {}};
    };
    [[nodiscard]] std::uint32_t number_of(const Source& source);

    std::unordered_map<std::uint64_t, Flow> flows_;
    std::vector<Source> sources_;
    std::unordered_map<Source, std::uint32_t, Hash> numbers_;
};

}  // namespace flowd::firefly_backend
