// SPDX-License-Identifier: Apache-2.0
// Walks through the flow table while somebody looks: rates, sums by tag and by remote network, and the rows of tables. All
// pages share a walk. Belongs to the instance's thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/view/flow_rows.hpp"
#include "backends/view/selection.hpp"
#include "flowd/address.hpp"
#include "flowd/host.hpp"

namespace flowd::view {

/// Flows, and bytes per second out of this host and into it.
struct Traffic {
    std::uint64_t flows = 0;
    double out = 0, in = 0;
    void add(const Traffic& other) {
        flows += other.flows;
        out += other.out;
        in += other.in;
    }
};

class FlowWalk {
  public:
    /// Further flows have no rate.
    static constexpr std::size_t most_rates = 250'000;
    /// Further tags and networks share one entry.
    static constexpr std::size_t most_tags = 1024, most_networks = 20'000;
    /// Flows of one step: a few hundred microseconds.
    static constexpr std::size_t step_size = 1000;

    /// `shortest`: a rate is measured over at least this time. Counts change once per period of an enricher, whenever that
    /// is between two walks, so a rate over a single period could be wrong by half.
    explicit FlowWalk(const Host& host, std::chrono::nanoseconds shortest = std::chrono::seconds(2))
        : flows_(host.flows()), shortest_ns_(shortest.count()) {}

    /// A selection takes part from the next walk on, as long as somebody holds it.
    void add(const std::shared_ptr<Selection>& selection) { selections_.push_back(selection); }

    void begin();
    /// Continues. False: the walk has ended.
    bool step();
    [[nodiscard]] bool is_under_way() const { return under_way_; }
    /// Time that the last walk took on this thread, which determines when the next one may begin.
    [[nodiscard]] std::chrono::nanoseconds cost() const { return cost_; }
    /// Forgets the rates, when nobody looks any more.
    void rest();

    // Of the last walk.
    using Tag = std::pair<std::uint32_t, std::uint32_t>;
    [[nodiscard]] const Traffic& all() const { return all_; }
    [[nodiscard]] const std::map<Tag, Traffic>& tags() const { return tags_; }
    /// The largest remote networks: IPv4 /24, IPv6 /48.
    [[nodiscard]] const std::vector<std::pair<Network, Traffic>>& networks() const { return largest_; }

    static constexpr Tag other{0xffffffffu, 0xffffffffu};

  private:
    struct Track {
        std::uint64_t sent = 0, received = 0;
        std::int64_t changed_ns = 0, interval_ns = 0;
        std::uint64_t walk = 0;
        Rate rate;
    };
    struct HashOfBytes {
        std::size_t operator()(const std::array<std::uint8_t, 16>& bytes) const;
    };

    void take(const flowd_flow& flow);
    [[nodiscard]] Rate rate_of(const flowd_flow& flow);
    void finish();

    LiveFlows flows_;
    const std::int64_t shortest_ns_;
    std::vector<std::weak_ptr<Selection>> selections_;
    std::vector<std::shared_ptr<Selection>> active_;
    std::unordered_map<std::uint64_t, Track> tracks_;

    bool under_way_ = false;
    std::uint64_t walk_ = 0, cursor_ = 0;
    std::int64_t now_ns_ = 0, monotonic_ns_ = 0;
    std::chrono::nanoseconds spent_{0}, cost_{0};
    Traffic all_next_, all_;
    std::map<Tag, Traffic> tags_next_, tags_;
    std::unordered_map<std::array<std::uint8_t, 16>, Traffic, HashOfBytes> networks_;
    std::vector<std::pair<Network, Traffic>> largest_;
};

}  // namespace flowd::view
