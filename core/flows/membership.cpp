// SPDX-License-Identifier: Apache-2.0
// Who takes part: announcers and backends come, are replaced, and go.
#include <algorithm>

#include "core/flows/bus_state.hpp"

namespace flowd::core {
namespace {

Error no_slot(std::string_view what, std::size_t most) {
    return Error{FLOWD_LIMIT, "no more than " + std::to_string(most) + " " + std::string(what) + " can run at a time"};
}

}  // namespace

std::uint16_t InstanceNames::number_of(const std::string& name) {
    for (std::size_t number = 0; number < used_; ++number)
        if (pages_[number / page_size][number % page_size] == name) return static_cast<std::uint16_t>(number);
    if (used_ == pages_.size() * page_size) return 0;  // so many reloads with names of their own
    auto& page = pages_[used_ / page_size];
    if (!page) page = std::make_unique<std::string[]>(page_size);
    page[used_ % page_size] = name;
    return static_cast<std::uint16_t>(used_++);
}

void AnnouncerSlot::set(const AnnouncerOptions& options, std::uint16_t number_of_name) {
    name = options.name;
    name_number = number_of_name;
    precedence = options.precedence;
    max_live = options.max_live;
}

void AnnouncerSlot::set_callbacks(std::function<void()> room, std::function<void(std::size_t)> marks) {
    const std::lock_guard lock(room_mutex);
    on_room = std::move(room);
    on_marks = std::move(marks);
    ++epoch;
}

Result<AnnouncerId> Bus::add_announcer(AnnouncerOptions options) {
    const std::lock_guard membership(state_->membership);
    auto& slots = state_->announcers;
    for (const AnnouncerSlot& slot : slots)
        if (slot.taken && slot.name == options.name)
            return Error{FLOWD_BUSY, "there is an announcer named " + options.name + " already"};
    const auto free = std::find_if(slots.begin(), slots.end(), [](const AnnouncerSlot& slot) { return !slot.taken; });
    if (free == slots.end()) return no_slot("plugin instances", max_announcers);

    const auto index = static_cast<std::uint32_t>(free - slots.begin());
    free->set_callbacks(std::move(options.on_room), std::move(options.on_marks));
    {
        const std::lock_guard registration(state_->registration);
        free->set(options, state_->names.number_of(options.name));
        free->reset_counters();
        free->taken = true;
    }
    const std::uint32_t generation = ++free->generation;
    for (Shard& shard : state_->shards) {
        const std::lock_guard lock(shard.mutex);
        shard.announcing |= std::uint64_t{1} << index;
    }
    return AnnouncerId{index, generation};
}

Result<void> Bus::replace_announcer(AnnouncerId id, AnnouncerOptions options) {
    const std::lock_guard membership(state_->membership);
    if (id.slot >= max_announcers || !state_->announcers[id.slot].taken ||
        state_->announcers[id.slot].generation != id.generation)
        return Error{FLOWD_NOT_FOUND, "the announcer to be replaced by " + options.name + " is gone"};
    AnnouncerSlot& slot = state_->announcers[id.slot];
    std::function<void()> on_room = options.on_room;
    slot.set_callbacks(std::move(options.on_room), std::move(options.on_marks));
    state_->drop_marks(id.slot);
    {
        const std::lock_guard registration(state_->registration);
        slot.set(options, state_->names.number_of(options.name));
    }
    // The predecessor may have been told FULL, and been given the room that the successor does not know of.
    if (on_room) on_room();
    return {};
}

void Bus::remove_announcer(AnnouncerId id) {
    const std::lock_guard membership(state_->membership);
    if (id.slot >= max_announcers || !state_->announcers[id.slot].taken ||
        state_->announcers[id.slot].generation != id.generation)
        return;
    AnnouncerSlot& slot = state_->announcers[id.slot];
    const std::uint64_t bit = std::uint64_t{1} << id.slot;
    const Now now = state_->now();
    Notices notices(*state_);
    ++slot.generation;
    for (Shard& shard : state_->shards) {
        const std::lock_guard lock(shard.mutex);
        shard.announcing &= ~bit;
    }
    state_->for_each_record(BusState::all_shards, notices, [&](Shard& shard, Flow& flow) {
        if (flow.state != FlowState::live) return;
        if (flow.announcers == bit) return state_->expire(shard, flow, Expiry::unannounced, now, notices);
        shard.announcements.leave(flow, static_cast<std::uint8_t>(id.slot));
        shard.next_expiry_ns = std::min(shard.next_expiry_ns, BusState::expiry_of(shard, flow));
        if (flow.owner == id.slot) flow.disown();
        if (flow.charged == id.slot) {  // also one that it had left
            flow.charged = static_cast<std::uint8_t>(__builtin_ctzll(flow.announcers));
            --slot.live;
            ++state_->announcers[flow.charged].live;
        }
    });
    state_->withdraw_catch_all(id.slot, now.system, notices);
    notices.fire();
    slot.set_callbacks(nullptr, nullptr);
    state_->drop_marks(id.slot);
    const std::lock_guard registration(state_->registration);
    slot.taken = false;
}

Result<std::shared_ptr<QueueCore>> BusState::add_queue(BackendOptions options) {
    const auto free = std::find(backends.begin(), backends.end(), nullptr);
    if (free == backends.end()) return no_slot("backend instances", Bus::max_backends);
    auto queue = std::make_shared<QueueCore>(std::move(options), static_cast<unsigned>(free - backends.begin()),
                                             shared_from_this(), clock.steady_ns());
    const std::lock_guard lock(registration);
    *free = queue;
    return queue;
}

void BusState::remove_queue(const QueueCore& queue) {
    const std::lock_guard lock(registration);
    backends[queue.slot].reset();
}

Result<std::shared_ptr<BackendQueue>> Bus::add_backend(BackendOptions options) {
    const std::lock_guard membership(state_->membership);
    auto queue = state_->add_queue(std::move(options));
    if (!queue) return std::move(queue).error();
    for (Shard& shard : state_->shards) {
        const std::lock_guard lock(shard.mutex);
        BusState::attach_to(shard, **queue);
    }
    (*queue)->wake();
    return std::make_shared<BackendQueue>(*queue);
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
    remove_queue(from);
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

void BusState::detach(std::shared_ptr<QueueCore> queue, Notices& notices) {
    queue->detach();
    for (Shard& shard : shards) {
        const std::lock_guard lock(shard.mutex);
        detach_from(shard, 1u << queue->slot, 0);
    }
    (void)queue->clear(notices);
    detach_records(*queue, notices);
}

void Bus::remove_backend(const std::shared_ptr<BackendQueue>& queue) {
    const std::lock_guard membership(state_->membership);
    if (!queue) return;
    Notices notices(*state_);
    if (state_->backends[queue->core_->slot] == queue->core_)
        state_->detach(queue->core_, notices);
    else
        state_->forget(queue->core_, notices);
    notices.fire();
}

Result<std::shared_ptr<BackendQueue>> Bus::replace_backend(const std::shared_ptr<BackendQueue>& old,
                                                           BackendOptions options) {
    const std::lock_guard membership(state_->membership);
    if (!old || state_->backends[old->core_->slot] != old->core_)
        return Error{FLOWD_NOT_FOUND, "the backend to be replaced by " + options.name + " is gone"};
    // Both have a slot for a moment: the old one still has what it was told before.
    auto fresh = state_->add_queue(std::move(options));
    if (!fresh) return std::move(fresh).error();
    Notices notices(*state_);
    state_->hand_over(old->core_, *fresh, notices);
    (*fresh)->wake();
    notices.fire();
    return std::make_shared<BackendQueue>(*fresh);
}

void Bus::set_queue_limits(const QueueLimits& limits) {
    const std::lock_guard registration(state_->registration);
    Notices notices(*state_);
    for (const auto& queue : state_->backends) {
        if (!queue) continue;
        const std::lock_guard lock(queue->mutex);
        queue->set(limits);
        if (queue->under_half()) notices.announcers |= std::exchange(queue->waiting, 0);
    }
    notices.fire();
}

BusCounters Bus::counters() const {
    BusCounters out;
    const BusState& state = *state_;
    out.live = state.live;
    out.ended_kept = state.ended_kept;
    out.owed = state.owed;
    out.tombstones_cut_short = state.tombstones_cut_short;
    out.samples = state.samples;
    out.samples_unknown = state.samples_unknown;
    out.samples_invalid = state.samples_invalid;
    out.samples_shed = state.samples_shed;
    out.attachments_not_kept = state.attachments_not_kept;
    out.socket_dumps = state.socket_dumps;
    out.socket_dumps_failed = state.socket_dumps_failed;
    const auto copy = [](auto& to, const auto& from) { std::copy(from.begin(), from.end(), to.begin()); };
    copy(out.expired, state.expired);
    for (const Shard& shard : state.shards) {
        const std::lock_guard lock(shard.mutex);
        out.table_bytes += shard.store.bytes();
    }
    const std::lock_guard registration(state_->registration);
    for (const AnnouncerSlot& slot : state.announcers) {
        if (!slot.taken) continue;
        AnnouncerCounters& own = out.announcers.emplace_back();
        own.name = slot.name;
        own.precedence = slot.precedence;
        copy(own.offered, slot.offered);
        own.accepted = slot.accepted;
        copy(own.refused, slot.refused);
        copy(own.effects, slot.effects);
        own.live = slot.live;
    }
    for (const auto& queue : state.backends) {
        if (!queue) continue;
        BackendCounters& own = out.backends.emplace_back();
        {
            const std::lock_guard lock(queue->mutex);
            own = queue->counts;
            own.depth = queue->used;
            own.bytes = queue->bytes;
            own.behind = queue->behind;
            own.capacity = queue->limits.events;
        }
        own.name = queue->name;
        copy(own.delivered, queue->delivered);
        copy(own.latency, queue->latency);
        own.latency_sum_us = queue->latency_sum_us;
        own.refused = queue->refused;
        own.failed = queue->failed;
    }
    return out;
}

}  // namespace flowd::core
