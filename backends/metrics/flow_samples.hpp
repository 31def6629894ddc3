// SPDX-License-Identifier: Apache-2.0
// The latest samples of a bounded number of flows: those with the most bytes. Belongs to the instance's thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/metrics/page.hpp"
#include "backends/metrics/tag_labels.hpp"
#include "flowd/event.hpp"

namespace flowd::metrics {

/// The TCP figures of some flows at one moment, printed piece by piece.
class FlowFigures {
  public:
    /// One sample. The labels are printed once for all figures.
    struct Row {
        PrintedLabels labels;
        std::string algorithm, tcp_info;
    };

    explicit FlowFigures(std::vector<Row> rows) : rows_(std::move(rows)) {}
    /// Prints flow_tcp_* until the page has `enough` bytes. False: nothing is left.
    bool print(Page& page, std::size_t enough);

  private:
    void print_row(Page& page, const Row& row) const;

    std::vector<Row> rows_;
    std::size_t figure_ = 0, row_ = 0;  ///< the next to be printed; after all figures come the algorithms
};

class FlowSamples {
  public:
    /// At most `max_flows` are shown; up to twice as many are kept.
    explicit FlowSamples(std::size_t max_flows) : max_flows_(max_flows) {}

    void take(const EventView& event);
    /// Of the flows that are shown, which are the largest ones, in the order of their addresses and ports. `flavour`: the
    /// enricher that sampled them; empty: any.
    [[nodiscard]] FlowFigures figures(const std::string& flavour, const TagLabels& labels) const;

    [[nodiscard]] std::size_t kept() const { return flows_.size(); }
    [[nodiscard]] std::size_t shown() const { return std::min(flows_.size(), max_flows_); }
    /// Samples that were not kept: the flow has too few bytes, or is of another network namespace, where the same addresses
    /// may exist.
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

    void keep(Flow& flow, const EventView& event);
    /// Removes all but the max_flows_ largest.
    void prune();

    const std::size_t max_flows_;
    std::unordered_map<std::uint64_t, Flow> flows_;  ///< by flow id
    std::uint64_t least_ = 0;                        ///< bytes of the smallest flow that the last prune() kept
    std::uint64_t left_out_ = 0;
};

}  // namespace flowd::metrics
