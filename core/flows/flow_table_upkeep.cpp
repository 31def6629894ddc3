// SPDX-License-Identifier: Apache-2.0
// How records end and leave the flow table: expiry, tombstones, sock_diag, removed plugins and backends.
#include <algorithm>

#include "core/flows/flow_table.hpp"

namespace flowd::core {
namespace {

constexpr std::uint32_t max_reclaimed = 256;    // ended flows that are examined under one lock to make room
constexpr std::uint64_t tombstone_share = 4;    // a shard may have so many times its share of maxLive as tombstones ...
constexpr std::uint64_t max_tombstones = 1024;  // ... and so many more, because a small share is uneven
constexpr std::uint8_t dumps_without = 2;       // sock_diag dumps a connection must be missing from
constexpr std::int64_t probe_share = 50;  // dumps of the sockets use at most this fraction of the time (one part in 50)

std::uint8_t end_reason_of(Expiry reason) {
    switch (reason) {
        case Expiry::idle:
            return FLOWD_END_IDLE;
        case Expiry::age:
            return FLOWD_END_AGE;
        case Expiry::socket_gone:
            return FLOWD_END_SOCKET_GONE;
        case Expiry::enricher_gone:
            return FLOWD_END_SAMPLE_GONE;
        case Expiry::unannounced:
        case Expiry::count_:
            break;
    }
    return FLOWD_END_WITHDRAWN;
}

std::int64_t sweep_interval(const FlowLimits& limits) {
    return std::clamp(limits.idle_timeout_ns / 16, second_ns / 10, 10 * second_ns);
}

std::int64_t expiry_of(const FlowLimits& limits, const Flow& flow) {
    const std::int64_t limit = flow.flags & FLOWD_METERED ? limits.idle_timeout_ns : limits.max_age_ns;
    return limit > never_ns - flow.seen_ns ? never_ns : flow.seen_ns + limit;
}

}  // namespace

void FlowTable::expire_no_later_than(Shard& shard, const Flow& flow) {
    shard.next_expiry_ns_ = std::min(shard.next_expiry_ns_, expiry_of(shard.limits_, flow));
}

void FlowTable::close(Shard& shard, Flow& flow, std::uint32_t told, Now now) {
    flow.state = FlowState::ended;
    flow.seen_ns = now.steady;
    shard.recipients_.close(flow, told);
    live_.fetch_sub(1, std::memory_order_relaxed);
    ended_kept_.fetch_add(1, std::memory_order_relaxed);
    members_.announcer(flow.charged).discharge();
    if (flow.sender_charged) senders_.discharge(flow.sender);
    flow.sender_charged = false;
    if (Recipients::owed(flow) != 0) owed_.fetch_add(1, std::memory_order_relaxed);
    ++shard.sums_.row(flow.tag, flow.local).ended;
    observe(shard, flow, FLOWD_OBSERVED_END, now.system);
}

void FlowTable::expire(Shard& shard, Flow& flow, Expiry reason, Now now, Listener& listener) {
    if (shard.recipients_.are_leaving()) leave_key(shard, flow, now);
    shard.owed_.push_back(flow.id);
    expired_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
    flow.end_reason = end_reason_of(reason);
    shard.announcements_.clear(flow);
    flow.ender = nobody;
    flow.end_ns = std::max(now.steady + flow.clock_ns, flow.start_ns);
    close(shard, flow, 0, now);
    const std::uint32_t to = Recipients::owed(flow) & shard.recipients_.active();
    if (to == 0) return settle(shard, flow, now.steady);
    listener.ended(shard, flow, to, now);
}

void FlowTable::settle(Shard& shard, Flow& flow, std::int64_t now_ns) {
    if (Recipients::owed(flow) != 0) return;
    shard.owed_.undo(flow.id);
    const bool replaced = flow.superseded || flow.older != FlowStore::none;  // by a record of its key, newer or older
    if (replaced || is_over(shard, flow.seen_ns, now_ns)) return drop(shard, flow);
    release(shard, flow);
    const std::uint64_t key_hash = hash_(flow.key);
    if (!shard.store_.entomb(FlowStore::index_of(flow.id), key_hash)) return drop(shard, flow);
    // Those whose key has a newer flow count as no flow, but take memory. Two at a time: more than are added.
    const std::uint64_t most = max_tombstones + tombstone_share * shard.limits_.max_live / shard_count;
    for (int i = 0; i < 2 && shard.store_.tombstones() > most; ++i) cut_short_oldest(shard);
}

void FlowTable::settle_owed(Shard& shard, Flow& flow, Now now) {
    if (Recipients::owed(flow) != 0) return;
    owed_.fetch_sub(1, std::memory_order_relaxed);
    settle(shard, flow, now.steady);
}

void FlowTable::release(Shard& shard, Flow& flow) {
    shard.texts_.release(flow.texts);
    shard.kept_.release(flow.kept);
    shard.usages_.forget(flow);
}

void FlowTable::drop(Shard& shard, Flow& flow) {
    const std::uint32_t index = FlowStore::index_of(flow.id);
    const std::uint64_t key_hash = hash_(flow.key);
    Match direction = Match::none;
    if (flow.superseded) {
        std::uint32_t newer = shard.store_.find(flow.key, key_hash, direction);
        while (shard.store_[newer].older != index) newer = shard.store_[newer].older;
        shard.store_[newer].older = flow.older;
    } else if (flow.older != FlowStore::none) {
        // An earlier flow that a recipient still lacks takes its place.
        shard.store_[flow.older].superseded = false;
        shard.store_.relink(index, flow.older, key_hash);
    } else {
        shard.store_.unlink(index, key_hash);
    }
    release(shard, flow);
    shard.store_.remove(index);
    ended_kept_.fetch_sub(1, std::memory_order_relaxed);
}

void FlowTable::give_up(Shard& shard, Flow& flow) {
    const std::uint32_t to = Recipients::owed(flow);
    for_each_bit(to, [this](unsigned slot) { given_up_[slot].fetch_add(1, std::memory_order_relaxed); });
    if (to != 0) owed_.fetch_sub(1, std::memory_order_relaxed);
    drop(shard, flow);
}

void FlowTable::limit_earlier(Shard& shard, const Flow& flow) {
    std::size_t count = 0;
    std::uint32_t oldest = FlowStore::none;
    for (std::uint32_t at = flow.older; at != FlowStore::none; at = shard.store_[at].older, ++count) oldest = at;
    if (count > max_earlier) give_up(shard, shard.store_[oldest]);
}

void FlowTable::reclaim(Shard& shard, std::uint32_t keep, Now now) {
    if (FlowStore::is_tombstone(keep)) return;  // a flow takes its place
    if (live() + ended_kept_.load(std::memory_order_relaxed) < shard.limits_.max_live) return;
    std::uint32_t left = max_reclaimed;
    for (; left > 0 && shard.store_.has_tombstones(); --left)
        if (cut_short_oldest(shard)) return;
    Flow* flow = oldest_owed(shard, left);
    if (flow == nullptr || FlowStore::index_of(flow->id) == keep) return;
    const std::uint64_t id = flow->id;
    shard.owed_.pop_front();
    if (shard.recipients_.are_leaving()) leave_record(shard, *flow, now);
    flow = shard.store_.by_id(id);
    if (flow != nullptr) give_up(shard, *flow);
}

Flow* FlowTable::oldest_owed(Shard& shard, std::uint32_t& left) {
    for (; left > 0 && !shard.owed_.empty(); --left) {
        if (Flow* const flow = ended_of(shard, shard.owed_.front())) return flow;
        shard.owed_.pop_front();
    }
    return nullptr;
}

Flow* FlowTable::ended_of(Shard& shard, std::uint64_t id) {
    Flow* const flow = shard.store_.by_id(id);
    return flow != nullptr && flow->state == FlowState::ended ? flow : nullptr;
}

void FlowTable::add_recipient(unsigned slot, std::uint32_t accepts) {
    given_up_[slot] = 0;
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        shard.recipients_.add(1u << slot, accepts);
    }
}

void FlowTable::retire_recipient(unsigned slot) {
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        shard.recipients_.begin_removal(1u << slot, 0);
    }
}

void FlowTable::replace_recipient(unsigned slot, unsigned successor, std::uint32_t accepts) {
    given_up_[successor] = 0;
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        shard.recipients_.add(1u << successor, accepts);
        shard.recipients_.begin_removal(1u << slot, 1u << successor);
    }
}

void FlowTable::forget_recipient(Listener& listener) {
    const Now at = now();
    for_each_record(all_shards, listener, [&](Shard& shard, Flow& flow) {
        if (!flow.superseded) leave_key(shard, flow, at);
    });
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        shard.recipients_.end_removal();
    }
}

void FlowTable::leave_record(Shard& shard, Flow& flow, Now now) {
    shard.recipients_.leave(flow);
    if (flow.state != FlowState::live) settle_owed(shard, flow, now);
}

void FlowTable::leave_key(Shard& shard, Flow& flow, Now now) {
    if (flow.older == FlowStore::none) return leave_record(shard, flow, now);
    const std::uint64_t newest = flow.id;
    for (const std::uint64_t id : earlier(shard, flow))
        if (Flow* const own = shard.store_.by_id(id)) leave_record(shard, *own, now);
    if (Flow* const own = shard.store_.by_id(newest)) leave_record(shard, *own, now);
}

std::array<std::uint64_t, event_kinds> FlowTable::owed_to(unsigned slot) {
    std::array<std::uint64_t, event_kinds> out{};
    const std::uint32_t bit = 1u << slot;
    for (Walk walk; walk.shards != 0;)
        walk_on(walk, [&](const Shard& shard, const Flow& flow) {
            const Recipients& recipients = shard.recipients_;
            if ((recipients.active() & bit) == 0) return true;
            if ((recipients.started(flow) & bit) == 0) ++out[FLOWD_EVENT_START];
            if (flow.state == FlowState::ended && (Recipients::owed(flow) & bit) != 0) ++out[FLOWD_EVENT_END];
            return true;
        });
    return out;
}

void FlowTable::remove_announcer(std::uint32_t slot, Now now, Listener& listener) {
    const std::uint64_t bit = std::uint64_t{1} << slot;
    for_each_record(all_shards, listener, [&](Shard& shard, Flow& flow) {
        if (flow.state != FlowState::live) return;
        if (flow.announcers == bit) return expire(shard, flow, Expiry::unannounced, now, listener);
        shard.announcements_.leave(flow, static_cast<std::uint8_t>(slot));
        expire_no_later_than(shard, flow);
        if (flow.owner == slot) flow.disown();
        if (flow.charged == slot) {  // including flows that it no longer announces
            flow.charged = static_cast<std::uint8_t>(__builtin_ctzll(flow.announcers));
            members_.announcer(slot).discharge();
            members_.announcer(flow.charged).charge();
        }
    });
}

std::int64_t FlowTable::tick(Now now, Listener& listener) {
    collect_sums(now);
    bury_all(now.steady);
    sweep(now, listener);
    if (probe_ && now.steady >= probe_due_ns_) probe_due_ns_ = probe_sockets(now, listener);
    std::int64_t due = now.steady + 60 * second_ns;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        const FlowLimits& limits = shard.limits_;
        if (shard.store_.has_tombstones()) due = std::min(due, oldest(shard).end.ended_ns + limits.tombstone_ns);
        due = std::min(due, std::max(shard.next_expiry_ns_, shard.swept_ns_ + sweep_interval(limits)));
        // A flow that starts after this tick cannot expire before the shorter of these.
        due = std::min(due, now.steady + std::min(limits.idle_timeout_ns, limits.max_age_ns));
    }
    return probe_ ? std::min(due, probe_due_ns_) : due;
}

void FlowTable::collect_sums(Now now) {
    MinuteSums all;
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        all.add(shard.sums_.rows());
        shard.sums_.clear();
    }
    history_.minutes().count(now.system / (60 * second_ns), all.rows());
}

void FlowTable::end_upkeep() {
    upkeep_over_ = true;
    if (probe_) probe_->interrupt();
}

void FlowTable::bury_all(std::int64_t now_ns) {
    for (std::uint32_t left = all_shards; left != 0;)
        for_each_bit(left, [&](unsigned number) {
            const std::lock_guard lock(shards_[number]);
            if (!bury(shards_[number], now_ns)) left &= ~(1u << number);
        });
}

bool FlowTable::bury(Shard& shard, std::int64_t now_ns) {
    const FlowStore& store = shard.store_;
    const std::uint32_t most = std::min(store.tombstones(), records_per_lock);
    std::uint32_t due = 0;
    for (; due < most; ++due) {
        const Tombstone& ended = store.tombstone_at(store.tombstone(due));
        if (!is_over(shard, ended.end.ended_ns, now_ns)) break;
        store.expect(ended.key_hash);
    }
    for (std::uint32_t i = 0; i < due; ++i) bury_oldest(shard);
    std::uint32_t left = records_per_lock - due;
    (void)oldest_owed(shard, left);
    shard.owed_.tidy(left, [&](std::uint64_t id) { return ended_of(shard, id) != nullptr; });
    if (left > 0 && shard.texts_.is_full()) shard.texts_.prune();
    return left == 0;
}

bool FlowTable::bury_oldest(Shard& shard) {
    if (!shard.store_.bury()) return false;
    ended_kept_.fetch_sub(1, std::memory_order_relaxed);
    return true;
}

bool FlowTable::cut_short_oldest(Shard& shard) {
    if (!bury_oldest(shard)) return false;
    tombstones_cut_short_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void FlowTable::sweep(Now now, Listener& listener) {
    std::uint32_t expiring = 0;
    for (std::uint32_t i = 0; i < shard_count; ++i) {
        Shard& shard = shards_[i];
        const std::lock_guard lock(shard);
        if (now.steady < std::max(shard.next_expiry_ns_, shard.swept_ns_ + sweep_interval(shard.limits_))) continue;
        expiring |= 1u << i;
        shard.swept_ns_ = now.steady;
        shard.next_expiry_ns_ = never_ns;
    }
    for_each_record(expiring, listener, [&](Shard& shard, Flow& flow) {
        if (flow.state != FlowState::live || upkeep_over_) return;
        if (expiry_of(shard.limits_, flow) <= now.steady)
            expire(shard, flow, flow.flags & FLOWD_METERED ? Expiry::idle : Expiry::age, now, listener);
        else
            expire_no_later_than(shard, flow);
    });
}

bool FlowTable::read_own_addresses() {
    auto addresses = probe_->addresses();
    if (!addresses) return false;
    const auto own = std::make_shared<const OwnAddresses>(std::move(*addresses));
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        shard.own_ = own;
    }
    return true;
}

std::int64_t FlowTable::probe_sockets(Now now, Listener& listener) {
    const bool has_addresses = read_own_addresses();
    std::int64_t interval = 0;
    {
        const std::lock_guard lock(shards_[0]);
        interval = shards_[0].limits_.probe_interval_ns;
    }
    if (interval <= 0) return now.steady + 10 * second_ns;  // a reload may enable it
    if (live() == 0) return now.steady + interval;
    const std::int64_t begin = clock_.steady_ns();
    socket_dumps_.fetch_add(1, std::memory_order_relaxed);
    const auto result = probe_->dump([this](const flowd_key& tuple) {
        const std::uint64_t key_hash = hash_(tuple);
        Shard& shard = shards_[key_hash >> 59];
        const std::lock_guard lock(shard);
        Match direction = Match::none;
        const auto index = shard.store_.find(tuple, key_hash, direction);
        Flow* const flow = shard.store_.record_at(index);
        if (flow == nullptr) return;
        flow->socket_known = true;
        flow->socket_marked = true;
    });
    const bool complete = result.ok() && has_addresses;
    if (!complete && !upkeep_over_) socket_dumps_failed_.fetch_add(1, std::memory_order_relaxed);
    for_each_record(all_shards, listener, [&](Shard& shard, Flow& flow) {
        if (flow.state != FlowState::live || upkeep_over_) return;
        const bool marked = flow.socket_marked;
        flow.socket_marked = false;
        if (!complete) return;  // an incomplete dump proves nothing
        const bool missing = !marked && (flow.socket_known || shard.own_->must_have_socket(flow));
        flow.socket_missed = missing ? (flow.socket_missed + 1) & 7 : 0;
        if (flow.socket_missed >= dumps_without) expire(shard, flow, Expiry::socket_gone, now, listener);
    });
    const std::int64_t end = clock_.steady_ns();
    return begin + std::max(interval, probe_share * (end - begin));
}

}  // namespace flowd::core
