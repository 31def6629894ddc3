// SPDX-License-Identifier: Apache-2.0
// Read access to the flow table: visits, pages, look-ups, counters.
#include <algorithm>

#include "core/flows/flow_copies.hpp"
#include "core/flows/flow_filter.hpp"
#include "core/flows/flow_table.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t records_per_page = 65536;  // examined by one call of page

}  // namespace

flowd_flow FlowTable::view(const Shard& shard, const Flow& flow) const {
    flowd_flow out{};
    out.size = sizeof out;
    out.flags = flags_of(flow);
    out.flow_id = flow.id;
    out.key = flow.key;
    out.tag = flow.tag;
    out.start_time_ns = flow.start_ns;
    out.seen_time_ns = flow.seen_ns + flow.clock_ns;
    out.usage = Usages::of(flow);
    out.local = flow.local;
    out.initiator = flow.initiator;
    out.announcers = shard.announcements_.count(flow);
    out.precedence = flow.precedence;
    out.sender = flow.sender;
    out.announcer = to_c(members_.name(flow.announcer));
    return out;
}

void FlowTable::visit(const Bus::FlowVisitor& visitor, std::size_t most) const {
    most = std::max<std::size_t>(most, 1);
    FlowCopies copies;
    copies.reserve(most);
    // Begins with another shard each time: a reader without room for all does not always miss the same flows.
    const std::uint32_t first = visits_.fetch_add(1, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < shard_count; ++i) {
        const Shard& shard = shards_[(first + i) % shard_count];
        bool more = true;
        for (std::uint32_t index = 0; more;) {
            {
                const std::lock_guard lock(shard);
                const std::uint32_t stop = std::min(shard.store_.end(), index + records_per_lock);
                for (; index < stop && copies.size() < most; ++index) {
                    const Flow& flow = shard.store_[index];
                    if (flow.state == FlowState::live) copies.add(view(shard, flow), flow.texts);
                }
                more = index < shard.store_.end();
            }
            if (more && copies.size() < most) continue;
            if (copies.size() > 0 && !visitor(copies.flows())) return;
            copies.clear();
        }
    }
}

flowd_result FlowTable::page(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                             const std::function<bool(const flowd_flow&)>& visitor) const {
    // The upper half of a cursor is a shard's number plus one, the lower half the index of the next record in it.
    std::size_t at_shard = cursor == 0 ? 0 : (cursor >> 32) - 1;
    auto index = static_cast<std::uint32_t>(cursor);
    if ((cursor != 0 && cursor >> 32 == 0) || at_shard >= shards_.size()) return FLOWD_INVALID;
    std::uint64_t announcers = ~std::uint64_t{0};
    if (filter != nullptr) {
        if (const flowd_result result = check(*filter); result != FLOWD_OK) return result;
        if ((filter->members & FLOWD_FILTER_ANNOUNCER) != 0)
            announcers = members_.announcers_called(to_view(filter->announcer));
    }
    const bool by_sender = filter != nullptr && (filter->members & FLOWD_FILTER_SENDER) != 0;
    std::size_t looked_at = 0;
    FlowCopies copies;
    std::vector<std::uint32_t> behind;
    copies.reserve(std::min<std::size_t>(limit, records_per_lock));
    behind.reserve(std::min<std::size_t>(limit, records_per_lock));
    while (at_shard < shards_.size() && limit > 0 && looked_at < records_per_page) {
        const Shard& shard = shards_[at_shard];
        copies.clear();
        behind.clear();
        bool over = false;
        {
            const std::lock_guard lock(shard);
            if (index > shard.store_.end()) return FLOWD_INVALID;  // the table never shrinks
            const std::uint32_t first = index;
            for (; index < shard.store_.end() && index - first < records_per_lock && copies.size() < limit; ++index) {
                const Flow& flow = shard.store_[index];
                if (flow.state != FlowState::live || (flow.announcers & announcers) == 0) continue;
                if (filter != nullptr && !passes(*filter, flow.key, flow.tag)) continue;
                if (by_sender && !shard.announcements_.has_sender(flow, filter->sender)) continue;
                copies.add(view(shard, flow), flow.texts);
                behind.push_back(index + 1);
            }
            over = index >= shard.store_.end();
            looked_at += index - first + 1;
        }
        const auto place = [&](std::uint32_t next) { return (std::uint64_t{at_shard} + 1) << 32 | next; };
        for (std::size_t i = 0; i < copies.size(); ++i) {
            --limit;
            if (visitor(copies.flows()[i])) continue;
            cursor = place(behind[i]);
            return FLOWD_OK;
        }
        if (over) {
            ++at_shard;
            index = 0;
        }
    }
    cursor = at_shard < shards_.size() ? (std::uint64_t{at_shard} + 1) << 32 | index : 0;
    return FLOWD_OK;
}

bool FlowTable::find(const flowd_key& key, const std::function<void(const flowd_flow&)>& visitor) const {
    flowd_key own = key;
    normalise(own, own_scope_);
    const std::uint64_t key_hash = hash_(own);
    const Shard& shard = shards_[key_hash >> 59];
    FlowCopies found;
    {
        const std::lock_guard lock(shard);
        Match direction = Match::none;
        const Flow* const flow = shard.store_.record_at(shard.store_.find(own, key_hash, direction));
        if (flow == nullptr || flow->state != FlowState::live) return false;
        found.add(view(shard, *flow), flow->texts);
    }
    visitor(found.flows().front());
    return true;
}

bool FlowTable::examine(const flowd_key& key,
                        const std::function<void(const flowd_flow&, std::span<const FlowAnnouncer>)>& visitor) const {
    flowd_key own = key;
    normalise(own, own_scope_);
    const std::uint64_t key_hash = hash_(own);
    const Shard& shard = shards_[key_hash >> 59];
    FlowCopies found;
    std::vector<FlowAnnouncer> announcers;
    announcers.reserve(Bus::max_announcers);
    {
        const std::lock_guard lock(shard);
        Match direction = Match::none;
        const Flow* const flow = shard.store_.record_at(shard.store_.find(own, key_hash, direction));
        if (flow == nullptr || flow->state != FlowState::live) return false;
        for_each_bit(flow->announcers, [&](unsigned slot) {
            const Announcer& announcer = members_.announcer(slot);
            announcers.push_back({members_.name(announcer.name_number()), announcer.precedence(),
                                  shard.announcements_.count(*flow, static_cast<std::uint8_t>(slot)), flow->owner == slot});
        });
        found.add(view(shard, *flow), flow->texts);
    }
    visitor(found.flows().front(), announcers);
    return true;
}

void FlowTable::count(BusCounters& out) const {
    out.live = live_;
    out.ended_kept = ended_kept_;
    out.owed = owed_;
    out.tombstones_cut_short = tombstones_cut_short_;
    out.samples = samples_;
    out.samples_unknown = samples_unknown_;
    out.samples_invalid = samples_invalid_;
    out.samples_shed = samples_shed_;
    out.attachments_not_kept = attachments_not_kept_;
    out.socket_dumps = socket_dumps_;
    out.socket_dumps_failed = socket_dumps_failed_;
    std::copy(expired_.begin(), expired_.end(), out.expired.begin());
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        out.table_bytes += shard.store_.bytes() + shard.owed_.bytes();
    }
}

}  // namespace flowd::core
