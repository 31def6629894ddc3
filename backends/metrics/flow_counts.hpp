// SPDX-License-Identifier: Apache-2.0
// Flows and bytes by experiment and activity, as series of this instance. Belongs to the instance's thread.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <unordered_map>

#include "backends/metrics/tag_labels.hpp"
#include "flowd/host.hpp"

namespace flowd::metrics {

/// Stores the tag and the bytes of every live flow: about 100 bytes each.
class FlowCounts {
  public:
    FlowCounts(Host& host, const TagLabels& labels);
    FlowCounts(const FlowCounts&) = delete;
    FlowCounts& operator=(const FlowCounts&) = delete;
    /// Subtracts its flows from the gauges, which a successor may share.
    ~FlowCounts();

    void take(const EventView& event);
    [[nodiscard]] std::size_t live() const { return flows_.size(); }

    /// Input of plugins may contain any ids: further unregistered tags share the label "other".
    static constexpr std::size_t max_unregistered = 256;

  private:
    struct Series {
        Gauge live;
        Counter started, ended, expired, sent, received;
    };
    struct Flow {
        Series* series = nullptr;
        std::uint64_t sent = 0, received = 0;  ///< bytes that were counted
    };
    using Id = std::pair<std::uint32_t, std::uint32_t>;

    [[nodiscard]] Series& series_of(flowd_tag tag);
    [[nodiscard]] Series make(const std::string& experiment, const std::string& activity);
    [[nodiscard]] bool is_older_than_this(const EventView& event) const;
    /// Adds the bytes since the flow's last event.
    static void count_bytes(Flow& flow, const EventView& event);

    Host& host_;
    TagLabels labels_;
    const std::int64_t since_ns_;
    std::map<Id, Series> series_;
    std::size_t unregistered_ = 0;
    std::unordered_map<std::uint64_t, Flow> flows_;  ///< by flow id
};

}  // namespace flowd::metrics
