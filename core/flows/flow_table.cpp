// SPDX-License-Identifier: Apache-2.0
// Events in: what an announcement does to the flow table. Each is decided, then offered to the queues, and only then done,
// so that an event that finds a queue full has changed nothing and can be offered again.
#include <algorithm>

#include "core/flows/bus_state.hpp"
#include "flowd/event.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t max_older = 64;  // ended flows of one key that a backend may be owed

/// 0/0 is no valid tag, 1/1 is default/default; any other says more.
int weight_of(flowd_tag tag) {
    if (same_tag(tag, {0, 0})) return 0;
    return same_tag(tag, {1, 1}) ? 1 : 2;
}

/// Whether this announcement's tag takes the place of the flow's.
bool replaces(flowd_tag tag, std::uint32_t precedence, bool owner, const Flow& flow) {
    const int fresh = weight_of(tag);
    const int present = weight_of(flow.tag);
    const bool higher = precedence > flow.precedence;
    if (fresh == 0 && present != 0) return (owner || higher) && flow.precedence <= FLOWD_PRECEDENCE_METER;
    if (owner) return fresh >= present;
    return higher || (precedence == flow.precedence && fresh > present);
}

std::uint8_t end_reason_of(const flowd_event& event) {
    return event.end_reason == FLOWD_END_UNKNOWN ? std::uint8_t{FLOWD_END_ANNOUNCED}
                                                 : static_cast<std::uint8_t>(event.end_reason);
}

std::int64_t first_of(std::int64_t a, std::int64_t b) {
    return a != 0 ? a : b;
}

}  // namespace

flowd_result BusState::announce(AnnouncerId id, Incoming& in, Now time, Tally& tally, Notices& notices,
                                std::uint64_t& flow_id) {
    const auto index_hash = static_cast<std::uint32_t>(in.key_hash);
    Shard& shard = shard_of(in.key_hash);
    const std::lock_guard lock(shard.mutex);
    if (!members.is_valid(id)) return FLOWD_STOPPED;

    Match direction = Match::none;
    std::uint32_t found = shard.store.find(in.event.key, index_hash, direction);
    if (found != FlowStore::none && shard.detaching != 0) {
        detach_chain(shard, shard.store[found]);
        found = shard.store.find(in.event.key, index_hash, direction);
    }
    const bool of_end = in.event.kind == FLOWD_EVENT_END;
    // An event for one flow is none for another one of the same tuple.
    if (in.event.flow_id != 0 && (found == FlowStore::none || shard.store[found].state != FlowState::live ||
                                  shard.store[found].id != in.event.flow_id)) {
        tally.note(Effect::late);
        return FLOWD_OK;
    }
    if (found == FlowStore::none)
        return of_end ? end_unseen(shard, id, in, time, tally, notices, flow_id)
                      : begin(shard, found, id, in, time, tally, notices, flow_id);

    Flow& flow = shard.store[found];
    if (flow.state == FlowState::ended) {
        if (in.event.kind == FLOWD_EVENT_START && !is_start_of_ended(flow, id, in.event, time))
            return begin(shard, found, id, in, time, tally, notices, flow_id);
        tally.note(of_end && flow.ender == id.slot ? Effect::double_end : Effect::late);
        return FLOWD_OK;
    }
    flow_id = flow.id;
    if (direction == Match::reversed) turn_round(in.event);
    return of_end ? end(shard, flow, id, in, time, tally, notices) : refresh(shard, flow, id, in, time, tally, notices);
}

/// Whether this start tells late of the connection that has just ended, and not of the next one with its ports. Only rules
/// and meters know from the kernel when a connection began.
bool BusState::is_start_of_ended(const Flow& ended, AnnouncerId id, const flowd_event& start, Now time) const {
    const std::uint32_t precedence = members.announcer(id.slot).precedence();
    if (precedence >= FLOWD_PRECEDENCE_EXPLICIT || precedence > ended.precedence || ended.ender == id.slot) return false;
    if (ended.end_reason != FLOWD_END_ANNOUNCED) return false;  // the connection itself may live on
    // The announcer's clock may be coarser than the kernel's: the time at which the end was announced counts as well.
    const std::int64_t told = time.system - (time.steady - ended.seen_ns);
    return start.start_time_ns != 0 && start.start_time_ns < std::max(ended.end_ns, told);
}

bool BusState::charge(const Shard& shard, Flow& flow, AnnouncerId id, std::uint64_t sender, Tally& tally) {
    const FlowLimits& limits = shard.limits;
    const bool of_sender = limits.max_per_sender != 0 && sender != 0;
    const auto refuse = [&](Refusal reason) {
        tally.refuse(reason);
        return false;
    };
    // The first one may run out of memory; then nothing has been counted.
    if (of_sender && !senders.charge(sender, limits.max_per_sender)) return refuse(Refusal::limit_sender);
    const auto give_back = [&](Refusal reason) {
        if (of_sender) senders.discharge(sender);
        return refuse(reason);
    };
    if (live.fetch_add(1, std::memory_order_relaxed) >= limits.max_live) {
        live.fetch_sub(1, std::memory_order_relaxed);
        return give_back(Refusal::limit_live);
    }
    if (!members.announcer(id.slot).charge(limits.max_per_instance)) {
        live.fetch_sub(1, std::memory_order_relaxed);
        return give_back(Refusal::limit_instance);
    }
    flow.charged = static_cast<std::uint8_t>(id.slot);
    flow.sender_charged = of_sender;
    return true;
}

void BusState::fill(Shard& shard, Flow& flow, AnnouncerId id, const Incoming& in, FlowTexts texts, Now time) {
    const flowd_event& event = in.event;
    const Announcer& announcer = members.announcer(id.slot);
    const auto slot = static_cast<std::uint8_t>(id.slot);
    flow.key = event.key;
    flow.start_ns = first_of(event.start_time_ns, first_of(event.time_ns, time.system));
    flow.clock_ns = time.system - time.steady;
    flow.seen_ns = time.steady;
    Announcements::begin(flow, slot, event.sender, static_cast<std::uint8_t>(event.flags));
    flow.owner = slot;
    flow.announcer = announcer.name_number();
    flow.precedence = static_cast<std::uint8_t>(announcer.precedence());
    flow.tag = event.tag;
    flow.texts = std::move(texts);
    flow.local = event.local & 7;
    flow.initiator = event.initiator & 3;
    shard.usages.take(flow, event.usage, reporter(id.slot, event.sender));  // the first one needs no memory
}

std::uint32_t BusState::reporter(std::uint32_t slot, std::uint64_t sender) {
    return static_cast<std::uint32_t>((sender ^ (sender >> 32)) * 64 + slot);
}

flowd_result BusState::begin(Shard& shard, std::uint32_t found, AnnouncerId id, const Incoming& in, Now time, Tally& tally,
                             Notices& notices, std::uint64_t& flow_id) {
    if (live.load(std::memory_order_relaxed) + ended_kept.load(std::memory_order_relaxed) >= shard.limits.max_live)
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
    Gate gate(*this);
    const std::size_t bytes = candidates ? shard.kept.cost(KeptAttachments::none, in.attachments()) : 0;
    if (!gate.open(candidates & ~lag, bytes, std::uint64_t{1} << id.slot, time.steady)) {
        tally.refuse(Refusal::full);
        return FLOWD_FULL;
    }
    // All that needs memory comes before anything is changed.
    NextKept kept(shard.kept, KeptAttachments::none, in.to_keep(), attachments_not_kept);
    FlowTexts texts = shard.texts.intern(to_view(in.event.application), to_view(in.event.rule));
    Outgoing out;
    out.payload = candidates ? kept.payload(in.attachments()) : nullptr;
    shard.store.reserve();
    Flow charged{};
    if (!charge(shard, charged, id, in.event.sender, tally)) return FLOWD_LIMIT;

    const auto index_hash = static_cast<std::uint32_t>(in.key_hash);
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
    fill(shard, flow, id, in, std::move(texts), time);
    kept.give_to(flow.kept);
    flow_id = flow.id;
    shard.next_expiry_ns = std::min(shard.next_expiry_ns, expiry_of(shard, flow));

    auto payload = std::move(out.payload);
    out = outgoing(flow, FLOWD_EVENT_START, first_of(in.event.time_ns, time.system));
    out.payload = std::move(payload);
    const std::uint32_t told = gate.push(out, time.steady, notices);
    flow.started = told;
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
    const auto slot = static_cast<std::uint8_t>(id.slot);
    const Announcer& announcer = members.announcer(id.slot);
    const std::uint32_t precedence = announcer.precedence();
    const bool gives_tag = replaces(event.tag, precedence, flow.owner == slot, flow);
    const bool retag = gives_tag && !same_tag(flow.tag, event.tag);
    const bool forward = event.kind == FLOWD_EVENT_ONGOING && precedence >= flow.precedence;
    const std::uint32_t candidates = shard.active & shard.takes_ongoing;

    Gate gate(*this);
    if (retag) {
        const std::size_t bytes = candidates ? shard.kept.cost(flow.kept, in.attachments()) : 0;
        if (!gate.open(candidates & up_to_date(shard, flow), bytes, bit, time.steady)) {
            tally.refuse(Refusal::full);
            return FLOWD_FULL;
        }
    }
    // All that needs memory comes before anything is changed.
    NextKept kept(shard.kept, flow.kept, in.to_keep(), attachments_not_kept);
    const bool names_application = event.application.length > 0 && (gives_tag || flow.texts.application().empty());
    const std::string_view application = names_application ? to_view(event.application) : flow.texts.application();
    const std::string_view rule = gives_tag ? to_view(event.rule) : flow.texts.rule();
    const bool renamed = application != flow.texts.application() || rule != flow.texts.rule();
    FlowTexts texts = renamed ? shard.texts.intern(application, rule) : FlowTexts();
    shard.announcements.reserve();
    // The flags of a flow change only with other ones, or when others announce it as well.
    const bool may_tell =
        retag || forward || flow.further != Announcements::none || flow.flags != static_cast<std::uint8_t>(event.flags);
    Outgoing out;
    if (candidates && may_tell) out.payload = kept.payload(in.attachments());
    shard.usages.take(flow, event.usage, reporter(id.slot, event.sender));

    const std::uint8_t flags = flow.flags;
    const bool joined = shard.announcements.join(flow, slot, event.sender, static_cast<std::uint8_t>(event.flags));
    tally.note(retag ? Effect::retagged : joined ? Effect::joined : Effect::refreshed);
    if (!gives_tag && !same_tag(flow.tag, event.tag)) tally.note(Effect::tag_kept);
    flow.seen_ns = time.steady;
    if (gives_tag) {
        flow.owner = slot;
        flow.announcer = announcer.name_number();
        flow.precedence = static_cast<std::uint8_t>(precedence);
        flow.tag = event.tag;
    }
    if (flow.local == FLOWD_LOCAL_UNKNOWN) flow.local = event.local & 7;
    if (flow.initiator == FLOWD_INITIATOR_UNKNOWN) flow.initiator = event.initiator & 3;
    if (renamed) {
        shard.texts.release(flow.texts);
        flow.texts = std::move(texts);
    }
    kept.give_to(flow.kept);
    shard.next_expiry_ns = std::min(shard.next_expiry_ns, expiry_of(shard, flow));

    if (!retag && !forward && flags == flow.flags) return FLOWD_OK;
    auto payload = std::move(out.payload);
    out = outgoing(flow, FLOWD_EVENT_ONGOING, first_of(event.time_ns, time.system));
    out.payload = std::move(payload);
    if (!retag) {
        push_ongoing(shard, flow, out, time.steady, notices);
        return FLOWD_OK;
    }
    out.event.flags |= FLOWD_RETAGGED;
    const std::uint32_t told = gate.push(out, time.steady, notices);
    flow.retag = (flow.retag | candidates) & ~told;
    if (candidates & ~told) bring_up_all(shard, flow, candidates & ~told, 0, time, notices);
    return FLOWD_OK;
}

std::uint32_t BusState::highest_precedence(std::uint64_t of) const {
    std::uint32_t highest = 0;
    for_each_bit(of, [&](unsigned slot) { highest = std::max(highest, members.announcer(slot).precedence()); });
    return highest;
}

bool BusState::may_end(const Shard& shard, const Flow& flow, AnnouncerId id, std::uint64_t sender) const {
    const auto slot = static_cast<std::uint8_t>(id.slot);
    if (flow.announcers >> slot & 1) return shard.announcements.may_end(flow, slot, sender);
    return members.announcer(id.slot).precedence() > highest_precedence(flow.announcers);
}

flowd_result BusState::end(Shard& shard, Flow& flow, AnnouncerId id, const Incoming& in, Now time, Tally& tally,
                           Notices& notices) {
    const flowd_event& event = in.event;
    const std::uint64_t bit = std::uint64_t{1} << id.slot;
    if (!may_end(shard, flow, id, event.sender)) {
        tally.note(Effect::foreign_end);
        return FLOWD_OK;
    }
    const std::uint64_t others = flow.announcers & ~bit;
    const bool goes_on = others != 0 && event.end_reason == FLOWD_END_WITHDRAWN;
    if (goes_on || members.announcer(id.slot).precedence() < highest_precedence(others)) {
        NextKept kept(shard.kept, flow.kept, in.to_keep(), attachments_not_kept);
        shard.usages.take(flow, event.usage, reporter(id.slot, event.sender));
        kept.give_to(flow.kept);
        tally.note(Effect::left);
        shard.announcements.leave(flow, static_cast<std::uint8_t>(id.slot));
        if (flow.owner == id.slot) flow.disown();
        shard.next_expiry_ns = std::min(shard.next_expiry_ns, expiry_of(shard, flow));
        return FLOWD_OK;
    }

    const std::uint32_t candidates = shard.active & shard.takes_end;
    Gate gate(*this);
    const std::size_t bytes = candidates ? shard.kept.cost(flow.kept, in.attachments()) : 0;
    if (!gate.open(candidates & up_to_date(shard, flow), bytes, bit, time.steady)) {
        tally.refuse(Refusal::full);
        return FLOWD_FULL;
    }
    // All that needs memory comes before anything is changed.
    NextKept kept(shard.kept, flow.kept, in.to_keep(), attachments_not_kept);
    const bool renamed = flow.texts.application().empty() && event.application.length > 0;
    FlowTexts texts = renamed ? shard.texts.intern(to_view(event.application), flow.texts.rule()) : FlowTexts();
    Outgoing out;
    out.payload = candidates ? kept.payload(in.attachments()) : nullptr;
    shard.tombstones.push_back(tombstone_of(shard, flow, time));
    shard.usages.take(flow, event.usage, reporter(id.slot, event.sender));
    kept.give_to(flow.kept);
    if (renamed) {
        shard.texts.release(flow.texts);
        flow.texts = std::move(texts);
    }
    set_end(flow, first_of(event.end_time_ns, first_of(event.time_ns, time.steady + flow.clock_ns)), tally);
    flow.end_reason = end_reason_of(event);
    shard.announcements.clear(flow);
    flow.ender = static_cast<std::uint8_t>(id.slot);

    auto payload = std::move(out.payload);
    out = outgoing(flow, FLOWD_EVENT_END, first_of(event.time_ns, time.system));
    out.payload = std::move(payload);
    const std::uint32_t told = gate.push(out, time.steady, notices);
    close(shard, flow, told, time);
    tally.note(Effect::ended);
    if (candidates & ~told) bring_up_all(shard, flow, candidates & ~told, 0, time, notices);
    return FLOWD_OK;
}

void BusState::set_end(Flow& flow, std::int64_t end_ns, Tally& tally) {
    if (end_ns < flow.start_ns) tally.note(Effect::clock_stepped);
    flow.end_ns = std::max(end_ns, flow.start_ns);
}

flowd_result BusState::end_unseen(Shard& shard, AnnouncerId id, const Incoming& in, Now time, Tally& tally,
                                  Notices& notices, std::uint64_t& flow_id) {
    if (live.load(std::memory_order_relaxed) + ended_kept.load(std::memory_order_relaxed) >= shard.limits.max_live)
        reclaim(shard, FlowStore::none);
    const flowd_event& event = in.event;
    const std::uint32_t candidates = shard.active & shard.takes_end;
    Gate gate(*this);
    const std::size_t bytes = candidates ? shard.kept.cost(KeptAttachments::none, in.attachments()) : 0;
    if (!gate.open(candidates, bytes, std::uint64_t{1} << id.slot, time.steady)) {
        tally.refuse(Refusal::full);
        return FLOWD_FULL;
    }
    // All that needs memory comes before anything is changed.
    NextKept kept(shard.kept, KeptAttachments::none, in.to_keep(), attachments_not_kept);
    FlowTexts texts = shard.texts.intern(to_view(event.application), to_view(event.rule));
    Outgoing out;
    out.payload = candidates ? kept.payload(in.attachments()) : nullptr;
    shard.store.reserve();
    shard.tombstones.emplace_back();
    const std::uint32_t index = shard.store.add();
    Flow& flow = shard.store[index];
    shard.store.link(index, static_cast<std::uint32_t>(in.key_hash));
    shard.tombstones.back() = tombstone_of(shard, flow, time);
    fill(shard, flow, id, in, std::move(texts), time);
    kept.give_to(flow.kept);
    flow.state = FlowState::live;
    flow.charged = static_cast<std::uint8_t>(id.slot);
    live.fetch_add(1, std::memory_order_relaxed);
    members.announcer(id.slot).charge();
    flow.started = ~std::uint32_t{0};  // a flow that is over is announced by its end alone
    shard.announcements.clear(flow);
    flow.ender = static_cast<std::uint8_t>(id.slot);
    flow.no_start = event.start_time_ns == 0;
    const std::int64_t at = first_of(event.time_ns, time.system);
    const std::int64_t end_ns = first_of(event.end_time_ns, at);
    flow.start_ns = first_of(event.start_time_ns, end_ns);
    set_end(flow, end_ns, tally);
    flow.end_reason = end_reason_of(event);
    flow_id = flow.id;

    auto payload = std::move(out.payload);
    out = outgoing(flow, FLOWD_EVENT_END, at);
    out.payload = std::move(payload);
    const std::uint32_t told = gate.push(out, time.steady, notices);
    close(shard, flow, told, time);
    tally.note(flow.no_start ? Effect::end_no_start : Effect::end_unseen);
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
