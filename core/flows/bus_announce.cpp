// SPDX-License-Identifier: Apache-2.0
// Events in: what an announcement does to the flow table. Each is decided, then offered to the queues, and only then done,
// so that an event that finds a queue full has changed nothing and can be offered again.
#include <algorithm>

#include "core/flows/bus_state.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t max_older = 64;  // ended flows of one key that a backend may be owed
constexpr std::uint32_t sticky_flags = FLOWD_LEARNT_REMOTELY | FLOWD_METERED | FLOWD_NOT_TO_PEER;

bool same_tag(flowd_tag a, flowd_tag b) {
    return a.experiment == b.experiment && a.activity == b.activity;
}
bool is_valid(flowd_tag tag) {
    return tag.experiment != 0 || tag.activity != 0;
}

std::uint8_t end_reason_of(const flowd_event& event) {
    return event.end_reason == FLOWD_END_UNKNOWN ? std::uint8_t{FLOWD_END_ANNOUNCED}
                                                 : static_cast<std::uint8_t>(event.end_reason);
}

std::int64_t first_of(std::int64_t a, std::int64_t b) {
    return a != 0 ? a : b;
}

void keep_usage(Flow& flow, const flowd_event& event) {
    if (event.usage.known == 0) return;
    flow.usage = event.usage;
}

}  // namespace

flowd_result BusState::announce(AnnouncerId id, const Incoming& in, Now time, Tally& tally, Notices& notices) {
    const std::uint64_t key_hash = hash(in.event.key);
    Shard& shard = shard_of(key_hash);
    const std::lock_guard lock(shard.mutex);
    if (!(shard.announcing >> id.slot & 1) || announcers[id.slot].generation != id.generation) return FLOWD_STOPPED;

    Match direction = Match::none;
    const std::uint32_t found = shard.store.find(in.event.key, static_cast<std::uint32_t>(key_hash), direction);
    const bool of_end = in.event.kind == FLOWD_EVENT_END;
    // An event for one flow is none for another one of the same tuple.
    if (in.event.flow_id != 0 && (found == FlowStore::none || shard.store[found].state != FlowState::live ||
                                  shard.store[found].id != in.event.flow_id)) {
        tally.note(Effect::late);
        return FLOWD_OK;
    }
    if (found == FlowStore::none)
        return of_end ? end_unseen(shard, id, in, key_hash, time, tally, notices)
                      : begin(shard, found, id, in, key_hash, time, tally, notices);

    Flow& flow = shard.store[found];
    if (flow.state == FlowState::ended) {
        if (in.event.kind == FLOWD_EVENT_START && !is_start_of_ended(flow, id, in.event))
            return begin(shard, found, id, in, key_hash, time, tally, notices);
        tally.note(of_end && flow.ender == id.slot ? Effect::double_end : Effect::late);
        return FLOWD_OK;
    }
    if (direction == Match::reversed) {
        Incoming turned = in;
        turn_round(turned.event);
        return of_end ? end(shard, flow, id, turned, time, tally, notices)
                      : refresh(shard, flow, id, turned, time, tally, notices);
    }
    return of_end ? end(shard, flow, id, in, time, tally, notices) : refresh(shard, flow, id, in, time, tally, notices);
}

/// Whether this start tells late of the connection that has just ended, and not of the next one with its ports. Only rules
/// and meters know from the kernel when a connection began.
bool BusState::is_start_of_ended(const Flow& ended, AnnouncerId id, const flowd_event& start) const {
    const std::uint32_t precedence = announcers[id.slot].precedence;
    if (precedence >= FLOWD_PRECEDENCE_EXPLICIT || precedence > ended.precedence || ended.ender == id.slot) return false;
    if (ended.end_reason != FLOWD_END_ANNOUNCED) return false;  // the connection itself may live on
    return start.start_time_ns != 0 && start.start_time_ns < ended.end_ns;
}

bool BusState::charge(Flow& flow, AnnouncerId id, std::uint64_t sender, Tally& tally) {
    AnnouncerSlot& announcer = announcers[id.slot];
    const std::uint64_t cap = announcer.max_live ? announcer.max_live : limits.max_per_instance;
    const auto refuse = [&](Refusal reason) {
        tally.refuse(reason);
        return false;
    };
    if (live.fetch_add(1, std::memory_order_relaxed) >= limits.max_live) {
        live.fetch_sub(1, std::memory_order_relaxed);
        return refuse(Refusal::limit_live);
    }
    if (announcer.live.fetch_add(1, std::memory_order_relaxed) >= cap && cap != 0) {
        announcer.live.fetch_sub(1, std::memory_order_relaxed);
        live.fetch_sub(1, std::memory_order_relaxed);
        return refuse(Refusal::limit_instance);
    }
    flow.charged = static_cast<std::uint8_t>(id.slot);
    flow.sender_charged = limits.max_per_sender != 0 && sender != 0;
    if (flow.sender_charged && !senders.charge(sender, limits.max_per_sender)) {
        announcer.live.fetch_sub(1, std::memory_order_relaxed);
        live.fetch_sub(1, std::memory_order_relaxed);
        return refuse(Refusal::limit_sender);
    }
    return true;
}

/// In place of those that were kept before.
void BusState::keep_attachments(Shard& shard, Flow& flow, const Incoming& in) {
    const std::uint32_t kept = shard.kept.hold(in.attachments());
    shard.kept.release(flow.kept);
    flow.kept = kept;
}

void BusState::fill(Shard& shard, Flow& flow, AnnouncerId id, const Incoming& in, Now time) {
    const flowd_event& event = in.event;
    flow.key = event.key;
    flow.start_ns = first_of(event.start_time_ns, first_of(event.time_ns, time.system));
    flow.seen_ns = time.steady;
    flow.announcers = std::uint64_t{1} << id.slot;
    flow.owner = static_cast<std::uint8_t>(id.slot);
    flow.precedence = static_cast<std::uint8_t>(announcers[id.slot].precedence.load());
    flow.sender = event.sender;
    flow.tag = event.tag;
    flow.application = shard.applications.intern(to_view(event.application));
    flow.flags = event.flags & sticky_flags;
    flow.local = event.local;
    flow.initiator = event.initiator;
    keep_usage(flow, event);
    keep_attachments(shard, flow, in);
}

flowd_result BusState::begin(Shard& shard, std::uint32_t found, AnnouncerId id, const Incoming& in, std::uint64_t key_hash,
                             Now time, Tally& tally, Notices& notices) {
    if (live.load(std::memory_order_relaxed) + ended_kept.load(std::memory_order_relaxed) >= limits.max_live)
        reclaim(shard, found);

    // An ended flow of this key that some backend has not heard the end of must be told to it first.
    std::uint32_t lag = 0;
    bool supersede = false;
    if (found != FlowStore::none) {
        const Flow& old = shard.store[found];
        lag = (~old.ended & shard.active) | lagging(shard, old);
        supersede = lag != 0 || old.older != FlowStore::none;
    }
    const std::uint32_t candidates = shard.active & shard.takes_start;
    Outgoing out;
    out.payload = candidates ? Payload::copy(in.attachments(), {}) : nullptr;
    shard.store.reserve();
    Gate gate(*this);
    if (!gate.open(candidates & ~lag, out.bytes(), std::uint64_t{1} << id.slot, time.steady)) {
        tally.refuse(Refusal::full);
        return FLOWD_FULL;
    }
    Flow charged{};
    if (!charge(charged, id, in.event.sender, tally)) return FLOWD_LIMIT;

    const auto index_hash = static_cast<std::uint32_t>(key_hash);
    if (found != FlowStore::none && !supersede) drop(shard, shard.store[found]);
    const std::uint32_t index = shard.store.add();
    Flow& flow = shard.store[index];
    flow.state = FlowState::live;
    flow.charged = charged.charged;
    flow.sender_charged = charged.sender_charged;
    if (supersede) {
        shard.store.relink(found, index, index_hash);
        shard.store[found].superseded = true;
        flow.older = found;
    } else {
        shard.store.link(index, index_hash);
    }
    fill(shard, flow, id, in, time);
    shard.next_expiry_ns = std::min(shard.next_expiry_ns, expiry_of(flow));

    auto payload = std::move(out.payload);
    out = outgoing(flow, FLOWD_EVENT_START, first_of(in.event.time_ns, time.system));
    out.payload = std::move(payload);
    const std::uint32_t told = gate.push(out, time.steady, notices);
    flow.started = ~candidates | told;
    flow.tagged = flow.started;
    tally.note(Effect::started);
    if (supersede) limit_older(shard, flow);
    if (candidates & ~told) bring_up_all(shard, flow, candidates & ~told, 0, time, notices);
    return FLOWD_OK;
}

void BusState::limit_older(Shard& shard, const Flow& flow) {
    std::size_t count = 0;
    std::uint32_t oldest = FlowStore::none;
    for (std::uint32_t at = flow.older; at != FlowStore::none; at = shard.store[at].older, ++count) oldest = at;
    if (count > max_older) give_up(shard, shard.store[oldest]);
}

flowd_result BusState::refresh(Shard& shard, Flow& flow, AnnouncerId id, const Incoming& in, Now time, Tally& tally,
                               Notices& notices) {
    const flowd_event& event = in.event;
    const std::uint64_t bit = std::uint64_t{1} << id.slot;
    const std::uint32_t precedence = announcers[id.slot].precedence;
    const bool better =
        precedence > flow.precedence || (precedence == flow.precedence && !is_valid(flow.tag) && is_valid(event.tag));
    const bool owns = better || flow.owner == id.slot;
    const bool retag = owns && !same_tag(flow.tag, event.tag);
    const bool forward = event.kind == FLOWD_EVENT_ONGOING && precedence >= flow.precedence;
    const std::uint32_t candidates = shard.active & shard.takes_ongoing;

    Outgoing out;
    if ((retag || forward) && candidates) out.payload = Payload::copy(in.attachments(), {});
    Gate gate(*this);
    if (retag && !gate.open(candidates & up_to_date(shard, flow), out.bytes(), bit, time.steady)) {
        tally.refuse(Refusal::full);
        return FLOWD_FULL;
    }
    tally.note(retag ? Effect::retagged : flow.announcers & bit ? Effect::refreshed : Effect::joined);

    flow.seen_ns = time.steady;
    if (better) {
        flow.owner = static_cast<std::uint8_t>(id.slot);
        flow.precedence = static_cast<std::uint8_t>(precedence);
        flow.flags = (flow.flags & ~std::uint32_t{FLOWD_LEARNT_REMOTELY}) | (event.flags & FLOWD_LEARNT_REMOTELY);
    }
    // Metered is a flow that only meters announce.
    const bool only = (flow.announcers & ~bit) == 0;
    if (!(event.flags & FLOWD_METERED))
        flow.flags &= ~std::uint32_t{FLOWD_METERED};
    else if (only)
        flow.flags |= FLOWD_METERED;
    flow.announcers |= bit;
    keep_usage(flow, event);
    if (flow.local == FLOWD_LOCAL_UNKNOWN) flow.local = event.local;
    if (flow.initiator == FLOWD_INITIATOR_UNKNOWN) flow.initiator = event.initiator;
    if (event.application.length > 0 && (better || flow.application.empty()) &&
        flow.application.text() != to_view(event.application)) {
        shard.applications.release(flow.application);
        flow.application = shard.applications.intern(to_view(event.application));
    }
    shard.next_expiry_ns = std::min(shard.next_expiry_ns, expiry_of(flow));

    if (retag) {
        flow.tag = event.tag;
        keep_attachments(shard, flow, in);
    }
    if (!retag && !forward) return FLOWD_OK;
    auto payload = std::move(out.payload);
    out = outgoing(flow, FLOWD_EVENT_ONGOING, first_of(event.time_ns, time.system));
    out.payload = std::move(payload);
    if (!retag) {
        push_ongoing(shard, flow, out, time.steady, notices);
        return FLOWD_OK;
    }
    out.event.flags |= FLOWD_RETAGGED;
    const std::uint32_t told = gate.push(out, time.steady, notices);
    flow.tagged = (flow.tagged & ~candidates) | told;
    if (candidates & ~told) bring_up_all(shard, flow, candidates & ~told, 0, time, notices);
    return FLOWD_OK;
}

flowd_result BusState::end(Shard& shard, Flow& flow, AnnouncerId id, const Incoming& in, Now time, Tally& tally,
                           Notices& notices) {
    const flowd_event& event = in.event;
    const std::uint64_t bit = std::uint64_t{1} << id.slot;
    const std::uint64_t others = flow.announcers & ~bit;
    std::uint32_t highest = 0;
    for_each_bit(others, [&](unsigned slot) { highest = std::max(highest, announcers[slot].precedence.load()); });
    const bool goes_on = others != 0 && event.end_reason == FLOWD_END_WITHDRAWN;
    if (goes_on || announcers[id.slot].precedence < highest) {
        tally.note(flow.announcers & bit ? Effect::left : Effect::foreign_end);
        flow.announcers = others;
        if (flow.owner == id.slot) flow.disown();
        return FLOWD_OK;
    }

    const std::uint32_t candidates = shard.active & shard.takes_end;
    Outgoing out;
    out.payload = candidates ? Payload::copy(in.attachments(), {}) : nullptr;
    Gate gate(*this);
    if (!gate.open(candidates & up_to_date(shard, flow), out.bytes(), bit, time.steady)) {
        tally.refuse(Refusal::full);
        return FLOWD_FULL;
    }
    keep_usage(flow, event);
    keep_attachments(shard, flow, in);
    flow.end_reason = end_reason_of(event);
    if (flow.application.empty()) flow.application = shard.applications.intern(to_view(event.application));
    const std::int64_t at = first_of(event.time_ns, time.system);
    flow.end_ns = std::max(first_of(event.end_time_ns, at), flow.start_ns);
    flow.announcers = 0;
    flow.ender = static_cast<std::uint8_t>(id.slot);

    auto payload = std::move(out.payload);
    out = outgoing(flow, FLOWD_EVENT_END, at);
    out.payload = std::move(payload);
    const std::uint32_t told = gate.push(out, time.steady, notices);
    close(shard, flow, told, time);
    tally.note(Effect::ended);
    if (candidates & ~told) bring_up_all(shard, flow, candidates & ~told, 0, time, notices);
    return FLOWD_OK;
}

flowd_result BusState::end_unseen(Shard& shard, AnnouncerId id, const Incoming& in, std::uint64_t key_hash, Now time,
                                  Tally& tally, Notices& notices) {
    if (live.load(std::memory_order_relaxed) + ended_kept.load(std::memory_order_relaxed) >= limits.max_live)
        reclaim(shard, FlowStore::none);
    const flowd_event& event = in.event;
    const std::uint32_t candidates = shard.active & shard.takes_end;
    Outgoing out;
    out.payload = candidates ? Payload::copy(in.attachments(), {}) : nullptr;
    shard.store.reserve();
    Gate gate(*this);
    if (!gate.open(candidates, out.bytes(), std::uint64_t{1} << id.slot, time.steady)) {
        tally.refuse(Refusal::full);
        return FLOWD_FULL;
    }
    const std::uint32_t index = shard.store.add();
    Flow& flow = shard.store[index];
    shard.store.link(index, static_cast<std::uint32_t>(key_hash));
    fill(shard, flow, id, in, time);
    flow.state = FlowState::live;
    flow.charged = static_cast<std::uint8_t>(id.slot);
    live.fetch_add(1, std::memory_order_relaxed);
    announcers[id.slot].live.fetch_add(1, std::memory_order_relaxed);
    flow.started = flow.tagged = ~std::uint32_t{0};  // nobody is told a start of what is over
    flow.announcers = 0;
    flow.ender = static_cast<std::uint8_t>(id.slot);
    const std::int64_t at = first_of(event.time_ns, time.system);
    flow.end_ns = first_of(event.end_time_ns, at);
    flow.end_reason = end_reason_of(event);
    if (event.start_time_ns == 0) flow.flags |= FLOWD_NO_START;
    flow.start_ns = event.start_time_ns == 0 ? flow.end_ns : event.start_time_ns;
    flow.end_ns = std::max(flow.end_ns, flow.start_ns);

    auto payload = std::move(out.payload);
    out = outgoing(flow, FLOWD_EVENT_END, at);
    out.payload = std::move(payload);
    const std::uint32_t told = gate.push(out, time.steady, notices);
    close(shard, flow, told, time);
    tally.note(event.start_time_ns == 0 ? Effect::end_no_start : Effect::end_unseen);
    if (candidates & ~told) bring_up_all(shard, flow, candidates & ~told, 0, time, notices);
    return FLOWD_OK;
}

bool SenderCounts::charge(std::uint64_t sender, std::uint64_t cap) {
    Stripe& stripe = stripes_[sender % stripes_.size()];
    const std::lock_guard lock(stripe.mutex);
    std::uint64_t& count = stripe.live[sender];
    if (count >= cap) return false;
    ++count;
    return true;
}

void SenderCounts::discharge(std::uint64_t sender) {
    Stripe& stripe = stripes_[sender % stripes_.size()];
    const std::lock_guard lock(stripe.mutex);
    const auto found = stripe.live.find(sender);
    if (found != stripe.live.end() && --found->second == 0) stripe.live.erase(found);
}

}  // namespace flowd::core
