// SPDX-License-Identifier: Apache-2.0
#include "backends/view/selection.hpp"

#include <algorithm>
#include <utility>

namespace flowd::view {

Result<Selection> Selection::parse(std::string_view filter, std::string_view order, const Registry& registry) {
    Selection selection;
    auto parsed = Filter::parse(filter, TagNames(registry));
    if (!parsed) return std::move(parsed).error();
    selection.filter_ = std::move(*parsed);
    if (order.empty() || order == "new")
        selection.order_ = Order::started_last;
    else if (order == "old")
        selection.order_ = Order::started_first;
    else if (order == "bytes")
        selection.order_ = Order::bytes;
    else if (order == "rate")
        selection.order_ = Order::rate;
    else
        return Error{FLOWD_INVALID, "order: is not new, old, bytes or rate"};
    return selection;
}

double Selection::rank_of(const flowd_flow& flow, const Rate& rate) const {
    switch (order_) {
        case Order::started_first:
            return -static_cast<double>(flow.start_time_ns);
        case Order::bytes:
            return static_cast<double>(flow.usage.bytes_sent) + static_cast<double>(flow.usage.bytes_received);
        case Order::rate:
            return rate.sent + rate.received;
        case Order::started_last:
            break;
    }
    return static_cast<double>(flow.start_time_ns);
}

void Selection::begin() {
    ++walk_;
    matching_ = 0;
    least_ = -std::numeric_limits<double>::infinity();
    candidates_.clear();
}

void Selection::take(const flowd_flow& flow, const Rate& rate, std::int64_t now_ns) {
    if (!filter_.matches(flow, now_ns)) return;
    ++matching_;
    const double rank = rank_of(flow, rate);
    if (rank < least_) return;
    candidates_.push_back({rank, FlowRow::of(flow, rate)});
    if (candidates_.size() >= 2 * most_rows) prune(most_rows);
}

void Selection::prune(std::size_t to) {
    if (candidates_.size() <= to) return;
    const auto last = candidates_.begin() + static_cast<std::ptrdiff_t>(to - 1);
    std::nth_element(candidates_.begin(), last, candidates_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.rank > b.rank; });
    least_ = last->rank;
    candidates_.erase(last + 1, candidates_.end());
}

void Selection::end() {
    prune(most_rows);
    for (Candidate& candidate : candidates_) {
        const auto [kept, is_new] = rows_.try_emplace(candidate.row.id);
        if (is_new || !kept->second.row.same_as(candidate.row)) {
            kept->second.row = std::move(candidate.row);
            kept->second.changed = walk_;
        }
        kept->second.seen = walk_;
    }
    std::erase_if(rows_, [&](const auto& entry) { return entry.second.seen != walk_; });
    candidates_ = {};
    matched_ = matching_;
}

void Selection::write_changes(json::Writer& writer, Sent& sent, const Registry& registry) const {
    writer.key("set").array();
    for (const auto& [id, kept] : rows_) {
        if (kept.changed <= sent.walk && sent.ids.contains(id)) continue;
        write_row(writer, kept.row, registry);
        sent.ids.insert(id);
    }
    writer.end().key("gone").array();
    std::erase_if(sent.ids, [&](std::uint64_t id) {
        if (rows_.contains(id)) return false;
        writer.value(std::to_string(id));
        return true;
    });
    writer.end();
    sent.walk = walk_;
}

}  // namespace flowd::view
