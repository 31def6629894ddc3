// SPDX-License-Identifier: Apache-2.0
// The latest samples of flows, of a bounded number: those that moved the most. Belongs to the instance's thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/metrics/families.hpp"
#include "backends/metrics/tag_labels.hpp"
#include "flowd/event.hpp"

namespace flowd::metrics {

class FlowSamples {
  public:
    /// At most `max_flows` are shown; up to twice as many are kept.
    explicit FlowSamples(std::size_t max_flows) : max_flows_(max_flows) {}

    void take(const EventView& event);
    /// flow_tcp_* of the shown flows as this enricher saw them; empty: as any did.
    void collect(const std::string& flavour, const TagLabels& labels, const Take& take) const;

    [[nodiscard]] std::size_t kept() const { return flows_.size(); }
    [[nodiscard]] std::size_t shown() const { return std::min(flows_.size(), max_flows_); }
    /// Samples that were not kept: the flow moved too little, or is another network namespace's, whose addresses may
    /// repeat.
    [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

  private:
    struct Sample {
        std::string flavour, algorithm, tcp_info;
    };
    struct Flow {
        flowd_key key{};
        flowd_tag tag{};
        std::uint64_t moved = 0;  ///< bytes, both ways
        std::vector<Sample> samples;
    };
    struct Shown;

    void keep(Flow& flow, const EventView& event);
    /// Keeps the max_flows_ largest.
    void prune();
    [[nodiscard]] std::vector<Shown> shown_of(const std::string& flavour, const TagLabels& labels) const;

    const std::size_t max_flows_;
    std::unordered_map<std::uint64_t, Flow> flows_;  ///< by flow id
    std::uint64_t least_ = 0;                        ///< what the smallest had moved when some were last left out
    std::uint64_t left_out_ = 0;
};

}  // namespace flowd::metrics
