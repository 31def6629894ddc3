// SPDX-License-Identifier: Apache-2.0
// What backends are told, derived from a record of the flow table, and how records end. The shard's lock is held.
#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "core/flows/bus_state.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {
namespace {

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

}  // namespace

Gate::~Gate() {
    release();
}

void Gate::release() {
    for_each_bit(std::exchange(held_, 0), [this](unsigned slot) { bus_.members.backend(slot)->mutex.unlock(); });
}

bool Gate::open(std::uint32_t backends, std::size_t bytes, std::uint64_t announcer, std::int64_t now) {
    bool room = true;
    for_each_bit(backends, [&](unsigned slot) {
        if (!room) return;
        QueueCore& queue = *bus_.members.backend(slot);
        queue.mutex.lock();
        held_ |= 1u << slot;
        const bool fits = queue.has_room(bytes);
        if (!fits && !queue.behind && (!queue.patient || queue.stalled(now))) queue.fall_behind();
        if (queue.behind) {
            held_ &= ~(1u << slot);
            queue.mutex.unlock();
        } else if (!fits) {
            ++queue.counts.refused_full;
            queue.waiting |= announcer;
            room = false;
        } else {
            queue.reserve();
        }
    });
    if (!room) release();
    return room;
}

std::uint32_t Gate::push(const Outgoing& event, std::int64_t now, Notices& notices) {
    for_each_bit(held_, [&](unsigned slot) {
        const auto& queue = bus_.members.backend(slot);
        if (queue->push(event, 0, now)) notices.wake(queue);
    });
    const std::uint32_t told = held_;
    release();
    return told;
}

Outgoing BusState::outgoing(const Flow& flow, std::uint32_t kind, std::int64_t time_ns) const {
    Outgoing out;
    flowd_event& event = out.event;
    event.size = sizeof event;
    event.kind = kind;
    event.flags = flow.flags;
    if (kind == FLOWD_EVENT_END) {
        if (flow.no_start) event.flags |= FLOWD_NO_START;
        event.end_reason = flow.end_reason;
        event.end_time_ns = flow.end_ns;
    }
    event.precedence = flow.precedence;
    event.local = flow.local;
    event.initiator = flow.initiator;
    event.flow_id = flow.id;
    event.key = flow.key;
    event.tag = flow.tag;
    event.time_ns = time_ns;
    event.start_time_ns = flow.start_ns;
    event.usage = Usages::of(flow);
    event.sender = flow.sender;
    event.announcer = name_of(flow);
    out.texts = flow.texts;
    return out;
}

std::uint32_t BusState::lagging(const Shard& shard, const Flow& flow) const {
    std::uint32_t owed_to = 0;
    for (std::uint32_t at = flow.older; at != FlowStore::none; at = shard.store[at].older)
        owed_to |= ~shard.store[at].ended;
    return owed_to & shard.active;
}

std::uint32_t BusState::up_to_date(const Shard& shard, const Flow& flow) const {
    return started_for(shard, flow) & ~flow.retag & shard.active &
           ~(flow.older == FlowStore::none ? 0 : lagging(shard, flow));
}

bool BusState::tell(const Shard& shard, const Flow& flow, std::uint32_t kind, std::uint32_t flags, QueueCore& queue,
                    Now now, Notices& notices) {
    const std::int64_t time = kind == FLOWD_EVENT_START ? flow.start_ns
                              : kind == FLOWD_EVENT_END ? flow.end_ns
                                                        : now.system;
    Outgoing event = outgoing(flow, kind, time);
    event.payload = shard.kept.payload(flow.kept);
    const std::lock_guard lock(queue.mutex);
    if (queue.behind || !queue.has_room(event.bytes())) return false;
    if (flags & FLOWD_RESYNC) ++queue.counts.resynced;
    if (queue.push(event, flags, now.steady)) notices.wake(members.backend(queue.slot));
    return true;
}

bool BusState::bring_up_one(Shard& shard, Flow& flow, QueueCore& queue, std::uint32_t end_flags, Now now,
                            Notices& notices) {
    const std::uint32_t bit = 1u << queue.slot;
    if (!(started_for(shard, flow) & bit)) {
        if (!tell(shard, flow, FLOWD_EVENT_START, FLOWD_RESYNC, queue, now, notices)) return false;
        flow.started |= bit;
        flow.retag &= ~bit;
        end_flags = FLOWD_RESYNC;
    }
    if (flow.state == FlowState::live) {
        if (!(flow.retag & bit)) return true;
        if (!tell(shard, flow, FLOWD_EVENT_ONGOING, FLOWD_RETAGGED | FLOWD_RESYNC, queue, now, notices)) return false;
        flow.retag &= ~bit;
    } else if (!(flow.ended & bit)) {
        // A re-tag that was missed needs no event of its own any more: the end carries the tag.
        if (!tell(shard, flow, FLOWD_EVENT_END, end_flags, queue, now, notices)) return false;
        mark_ended(shard, flow, bit);
        settle(shard, flow);
    }
    return true;
}

bool BusState::bring_up(Shard& shard, Flow& flow, QueueCore& queue, std::uint32_t end_flags, Now now, Notices& notices) {
    if (flow.older != FlowStore::none) {
        std::vector<std::uint64_t> chain;  // ids, newest first: telling one may remove its record
        for (std::uint32_t at = flow.older; at != FlowStore::none; at = shard.store[at].older)
            chain.push_back(shard.store[at].id);
        for (auto id = chain.rbegin(); id != chain.rend(); ++id)
            if (!bring_up_one(shard, *shard.store.by_id(*id), queue, FLOWD_RESYNC, now, notices)) return false;
    }
    return bring_up_one(shard, flow, queue, end_flags, now, notices);
}

void BusState::bring_up_all(Shard& shard, Flow& flow, std::uint32_t to, std::uint32_t end_flags, Now now,
                            Notices& notices) {
    const std::uint64_t id = flow.id;
    for_each_bit(to & shard.active, [&](unsigned slot) {
        if (flow.id != id || flow.state == FlowState::free) return;
        QueueCore& queue = *members.backend(slot);
        try {
            if (bring_up(shard, flow, queue, end_flags, now, notices)) return;
        } catch (const std::bad_alloc&) {
            // As with a queue that has no room, it is told later.
        }
        const std::lock_guard lock(queue.mutex);
        ++queue.counts.missed;
        queue.missed = true;
        if (queue.disarm()) notices.wake(members.backend(slot));
    });
}

void BusState::wake_all(Notices& notices) {
    // Any lock of a shard keeps the backends in place.
    const std::lock_guard lock(shards[0].mutex);
    for_each_bit(shards[0].active, [&](unsigned slot) {
        QueueCore& queue = *members.backend(slot);
        const std::lock_guard queue_lock(queue.mutex);
        if (queue.disarm()) notices.wake(members.backend(slot));
    });
}

void BusState::push_ongoing(Shard& shard, const Flow& flow, const Outgoing& event, std::int64_t now, Notices& notices) {
    for_each_bit(up_to_date(shard, flow) & shard.takes_ongoing, [&](unsigned slot) {
        QueueCore& queue = *members.backend(slot);
        const std::lock_guard lock(queue.mutex);
        if (queue.behind || queue.over_three_quarters(event.bytes()))
            ++queue.counts.shed_ongoing;
        else if (queue.push(event, 0, now))
            notices.wake(members.backend(slot));
    });
}

void BusState::close(Shard& shard, Flow& flow, std::uint32_t told, Now now) {
    flow.state = FlowState::ended;
    flow.seen_ns = now.steady;
    flow.ended = ~(shard.active & shard.takes_end) | told;
    // A backend that comes later has nothing to do with it.
    flow.started |= ~shard.active;
    live.fetch_sub(1, std::memory_order_relaxed);
    ended_kept.fetch_add(1, std::memory_order_relaxed);
    members.announcer(flow.charged).discharge();
    if (flow.sender_charged) senders.discharge(flow.sender);
    flow.sender_charged = false;
    if (owed_to(shard, flow) != 0) owed.fetch_add(1, std::memory_order_relaxed);
}

EndedFlow BusState::tombstone_of(const Shard& shard, const Flow& flow, Now now) {
    return {FlowStore::index_of(flow.id), flow.id, now.steady + shard.limits.tombstone_ns};
}

void BusState::expire(Shard& shard, Flow& flow, Expiry reason, Now now, Notices& notices) {
    if (shard.detaching != 0) detach_chain(shard, flow);
    shard.tombstones.push_back(tombstone_of(shard, flow, now));
    expired[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
    flow.end_reason = end_reason_of(reason);
    shard.announcements.clear(flow);
    flow.ender = nobody;
    flow.end_ns = std::max(now.steady + flow.clock_ns, flow.start_ns);
    close(shard, flow, 0, now);
    bring_up_all(shard, flow, ~flow.ended, 0, now, notices);
}

void BusState::mark_ended(Shard& shard, Flow& flow, std::uint32_t to) {
    const bool was_owed = owed_to(shard, flow) != 0;
    flow.ended |= to;
    if (was_owed && owed_to(shard, flow) == 0) owed.fetch_sub(1, std::memory_order_relaxed);
}

void BusState::settle(Shard& shard, Flow& flow) {
    if (owed_to(shard, flow) == 0 && (flow.superseded || flow.tombstone_over)) drop(shard, flow);
}

void BusState::drop(Shard& shard, Flow& flow) {
    const std::uint32_t index = FlowStore::index_of(flow.id);
    const auto key_hash = static_cast<std::uint32_t>(hash(flow.key));
    Match direction = Match::none;
    if (flow.superseded) {
        std::uint32_t newer = shard.store.find(flow.key, key_hash, direction);
        while (shard.store[newer].older != index) newer = shard.store[newer].older;
        shard.store[newer].older = flow.older;
    } else if (flow.older != FlowStore::none) {
        // What came before it is still owed to somebody and takes its place.
        shard.store[flow.older].superseded = false;
        shard.store[flow.older].tombstone_over = true;
        shard.store.relink(index, flow.older, key_hash);
    } else {
        shard.store.unlink(index, key_hash);
    }
    shard.texts.release(flow.texts);
    shard.kept.release(flow.kept);
    shard.usages.forget(flow);
    shard.store.remove(index);
    ended_kept.fetch_sub(1, std::memory_order_relaxed);
}

void BusState::give_up(Shard& shard, Flow& flow) {
    const std::uint32_t to = owed_to(shard, flow);
    for_each_bit(to, [&](unsigned slot) {
        const std::lock_guard lock(members.backend(slot)->mutex);
        ++members.backend(slot)->counts.given_up;
    });
    mark_ended(shard, flow, to);
    drop(shard, flow);
}

void BusState::count_owed(const QueueCore& queue, Remains& remains) {
    const std::uint32_t bit = 1u << queue.slot;
    Notices notices(*this);
    for_each_record(all_shards, notices, [&](const Shard& shard, const Flow& flow) {
        if (!(shard.active & bit)) return;
        if (!(started_for(shard, flow) & bit)) ++remains.events[FLOWD_EVENT_START];
        if (flow.state == FlowState::ended && !(flow.ended & bit)) ++remains.events[FLOWD_EVENT_END];
    });
}

bool BusState::reclaim(Shard& shard, std::uint32_t keep) {
    std::uint32_t left = 256;  // ended flows that are looked at under one lock
    const auto next = [&](std::deque<EndedFlow>& queue) -> Flow* {
        while (!queue.empty() && left > 0) {
            --left;
            const EndedFlow entry = queue.front();
            Flow* const flow = shard.store.by_id(entry.id);
            const bool usable = flow && flow->state == FlowState::ended;
            if (usable && entry.index == keep) return nullptr;
            queue.pop_front();
            if (usable) return flow;
        }
        return nullptr;
    };
    while (Flow* flow = next(shard.tombstones)) {
        if (shard.detaching != 0 && !detach_record(shard, *flow)) return true;
        if (owed_to(shard, *flow) == 0) {
            tombstones_cut_short.fetch_add(1, std::memory_order_relaxed);
            drop(shard, *flow);
            return true;
        }
        flow->tombstone_over = true;
        shard.owed.push_back({FlowStore::index_of(flow->id), flow->id, 0});
    }
    if (left == 0) return false;  // the next announcement continues here
    if (Flow* flow = next(shard.owed)) {
        if (shard.detaching != 0 && !detach_record(shard, *flow)) return true;
        give_up(shard, *flow);
        return true;
    }
    return false;
}

std::int64_t BusState::expiry_of(const Shard& shard, const Flow& flow) {
    const std::int64_t limit = flow.flags & FLOWD_METERED ? shard.limits.idle_timeout_ns : shard.limits.max_age_ns;
    return limit > never_ns - flow.seen_ns ? never_ns : flow.seen_ns + limit;
}

flowd_string BusState::name_of(const Flow& flow) const {
    return to_c(members.name(flow.announcer));
}

flowd_flow BusState::view(const Shard& shard, const Flow& flow) const {
    flowd_flow out{};
    out.size = sizeof out;
    out.flags = flow.flags;
    out.flow_id = flow.id;
    out.key = flow.key;
    out.tag = flow.tag;
    out.start_time_ns = flow.start_ns;
    out.seen_time_ns = flow.seen_ns + flow.clock_ns;
    out.usage = Usages::of(flow);
    out.local = flow.local;
    out.initiator = flow.initiator;
    out.announcers = shard.announcements.count(flow);
    out.precedence = flow.precedence;
    out.sender = flow.sender;
    out.announcer = name_of(flow);
    return out;
}

Result<std::shared_ptr<QueueCore>> BusState::add_queue(BackendOptions options) {
    const auto slot = members.free_backend_slot();
    if (!slot) return slot.error();
    auto queue = std::make_shared<QueueCore>(std::move(options), *slot, shared_from_this(), clock.steady_ns());
    members.set_backend(*slot, queue);
    return queue;
}

void BusState::attach_to(Shard& shard, const QueueCore& queue) {
    const std::uint32_t bit = 1u << queue.slot;
    shard.active |= bit;
    if (queue.takes(FLOWD_EVENT_START)) shard.takes_start |= bit;
    if (queue.takes(FLOWD_EVENT_ONGOING)) shard.takes_ongoing |= bit;
    if (queue.takes(FLOWD_EVENT_END)) shard.takes_end |= bit;
}

void BusState::detach_from(Shard& shard, std::uint32_t from, std::uint32_t successor) {
    shard.active &= ~from;
    shard.detaching = from;
    shard.successor = successor;
}

bool BusState::detach_record(Shard& shard, Flow& flow) {
    const std::uint32_t from = shard.detaching;
    if (flow.state == FlowState::live) {
        flow.started &= ~from;
        flow.retag &= ~from;
        return true;
    }
    const bool knew_start = (started_for(shard, flow) & from) != 0;
    flow.started |= from;
    if ((flow.ended & from) != 0) return true;
    if ((shard.successor & shard.takes_end) != 0) {
        flow.ended &= ~shard.successor;
        if (!knew_start) flow.started &= ~shard.successor;
    }
    const std::uint64_t id = flow.id;
    mark_ended(shard, flow, from);
    settle(shard, flow);
    return shard.store.by_id(id) != nullptr;
}

void BusState::detach_chain(Shard& shard, Flow& flow) {
    if (flow.older == FlowStore::none) return (void)detach_record(shard, flow);
    std::vector<std::uint64_t> chain{flow.id};
    for (std::uint32_t at = flow.older; at != FlowStore::none; at = shard.store[at].older)
        chain.push_back(shard.store[at].id);
    for (const std::uint64_t id : chain)
        if (Flow* const own = shard.store.by_id(id)) (void)detach_record(shard, *own);
}

void BusState::detach_records(const QueueCore& from, Notices& notices) {
    for_each_record(all_shards, notices, [this](Shard& shard, Flow& flow) { (void)detach_record(shard, flow); });
    const std::uint32_t bit = 1u << from.slot;
    for (Shard& shard : shards) {
        const std::lock_guard lock(shard.mutex);
        shard.detaching = shard.successor = 0;
        shard.takes_start &= ~bit;
        shard.takes_ongoing &= ~bit;
        shard.takes_end &= ~bit;
    }
    members.set_backend(from.slot, nullptr);
}

void BusState::hand_over(const std::shared_ptr<QueueCore>& from, const std::shared_ptr<QueueCore>& to, Notices& notices) {
    {
        const std::lock_guard marks_lock(marks_mutex);
        forget_closed_queues();
        sealed.push_back(from);
        // What the predecessor missed is told to the successor, in its first walk through the table.
        if (!marks.empty()) to->wait_for(marks.front().number);
        from->sealed = true;
        from->detach();
        for (Shard& shard : shards) {
            const std::lock_guard lock(shard.mutex);
            attach_to(shard, *to);
            detach_from(shard, 1u << from->slot, 1u << to->slot);
        }
        const std::lock_guard lock(from->mutex);
        for (Wait& wait : from->waits)
            if (std::exchange(wait.walk, 0) != 0) wait.place = from->pushed;
        from->pass_marks(notices);
        notices.announcers |= std::exchange(from->waiting, 0);
    }
    detach_records(*from, notices);
}

void BusState::detach(QueueCore& queue, Notices& notices) {
    queue.detach();
    for (Shard& shard : shards) {
        const std::lock_guard lock(shard.mutex);
        detach_from(shard, 1u << queue.slot, 0);
    }
    (void)queue.clear(notices);
    detach_records(queue, notices);
}

}  // namespace flowd::core
