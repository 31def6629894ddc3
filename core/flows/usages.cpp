// SPDX-License-Identifier: Apache-2.0
#include "core/flows/usages.hpp"

#include <algorithm>

namespace flowd::core {
namespace {

constexpr std::uint32_t all_known = FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS;

template <typename Function>
FlowTotals combine(const FlowTotals& a, const FlowTotals& b, Function&& f) {
    return {f(a.bytes_sent, b.bytes_sent), f(a.bytes_received, b.bytes_received), f(a.packets_sent, b.packets_sent),
            f(a.packets_received, b.packets_received)};
}
FlowTotals sum(const FlowTotals& a, const FlowTotals& b) {
    return combine(a, b, [](std::uint64_t x, std::uint64_t y) { return x > ~y ? ~std::uint64_t{0} : x + y; });
}
FlowTotals higher(const FlowTotals& a, const FlowTotals& b) {
    return combine(a, b, [](std::uint64_t x, std::uint64_t y) { return std::max(x, y); });
}
/// One number for comparisons.
std::uint64_t size_of(const FlowTotals& totals) {
    const auto add = [](std::uint64_t x, std::uint64_t y) { return x > ~y ? ~std::uint64_t{0} : x + y; };
    const std::uint64_t bytes = add(totals.bytes_sent, totals.bytes_received);
    return bytes != 0 ? bytes : add(totals.packets_sent, totals.packets_received);
}

FlowTotals only(const FlowTotals& totals, std::uint32_t known) {
    FlowTotals out = totals;
    if (!(known & FLOWD_USAGE_BYTES)) out.bytes_sent = out.bytes_received = 0;
    if (!(known & FLOWD_USAGE_PACKETS)) out.packets_sent = out.packets_received = 0;
    return out;
}

}  // namespace

bool Usages::take(Flow& flow, const flowd_usage& report, std::uint32_t reporter) {
    const std::uint32_t known = report.known & all_known;
    const bool first = flow.usage_known == 0;
    if (known == 0 || (!first && report.source < flow.usage_source)) return false;

    const bool raised = first || report.source > flow.usage_source;
    const FlowTotals own =
        only({report.bytes_sent, report.bytes_received, report.packets_sent, report.packets_received}, known);
    // Counts of a lower source that this source does not report are no longer known.
    const FlowTotals least = raised ? only(flow.usage, known) : flow.usage;
    Base base{{}, own};
    if (!raised) {
        if (reporter == flow.usage_by) {
            base = flow.usage_rebased ? bases_.find(FlowStore::index_of(flow.id))->second : Base{{}, flow.usage};
            if (size_of(own) < size_of(base.last) / 2)
                base = {sum(base.before, base.last), own};
            else
                base.last = higher(base.last, own);
        } else if (size_of(own) <= size_of(flow.usage)) {
            return false;
        }
    }
    const FlowTotals totals = higher(least, sum(base.before, base.last));
    if (totals != base.last) {
        bases_[FlowStore::index_of(flow.id)] = base;
        flow.usage_rebased = true;
    } else {
        forget(flow);
    }
    const bool moved = totals.bytes_sent > flow.usage.bytes_sent || totals.bytes_received > flow.usage.bytes_received;
    flow.usage = totals;
    flow.usage_source = report.source;
    flow.usage_by = reporter;
    flow.usage_known = static_cast<std::uint8_t>(raised ? known : flow.usage_known | known);
    return moved;
}

void Usages::forget(Flow& flow) {
    if (!flow.usage_rebased) return;
    bases_.erase(FlowStore::index_of(flow.id));
    flow.usage_rebased = false;
}

flowd_usage Usages::of(const Flow& flow) {
    return {flow.usage.bytes_sent,       flow.usage.bytes_received, flow.usage.packets_sent,
            flow.usage.packets_received, flow.usage_source,         flow.usage_known};
}

}  // namespace flowd::core
