// SPDX-License-Identifier: Apache-2.0
// The live flows that pages with one filter show: those that match, and of very many the first in an order. Belongs to the
// instance's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backends/view/flow_rows.hpp"
#include "flowd/filter.hpp"
#include "flowd/result.hpp"

namespace flowd::view {

class Selection {
  public:
    /// Further flows are counted, not shown: a person narrows the filter.
    static constexpr std::size_t most_rows = 10'000;

    /// `order`: "new" (started last), "old", "bytes", "rate".
    [[nodiscard]] static Result<Selection> parse(std::string_view filter, std::string_view order, const Registry& registry);

    // One walk through the flow table.
    void begin();
    void take(const flowd_flow& flow, const Rate& rate, std::int64_t now_ns);
    void end();

    [[nodiscard]] std::uint64_t matched() const { return matched_; }
    [[nodiscard]] std::size_t shown() const { return rows_.size(); }

    /// What one page has been sent.
    struct Sent {
        std::uint64_t walk = 0;
        std::unordered_set<std::uint64_t> ids;
    };
    /// Writes the members "set" and "gone": what has changed since the last call with `sent`.
    void write_changes(json::Writer& writer, Sent& sent, const Registry& registry) const;

  private:
    enum class Order { started_last, started_first, bytes, rate };
    struct Kept {
        FlowRow row;
        std::uint64_t changed = 0;  ///< the walk that found it changed
        std::uint64_t seen = 0;
    };
    struct Candidate {
        double rank;
        FlowRow row;
    };

    Selection() = default;
    [[nodiscard]] double rank_of(const flowd_flow& flow, const Rate& rate) const;
    void prune(std::size_t to);

    Filter filter_;
    Order order_ = Order::started_last;
    std::uint64_t walk_ = 0;
    std::uint64_t matching_ = 0, matched_ = 0;  ///< of this walk, of the last one
    double least_ = -std::numeric_limits<double>::infinity();
    std::vector<Candidate> candidates_;
    std::unordered_map<std::uint64_t, Kept> rows_;
};

}  // namespace flowd::view
