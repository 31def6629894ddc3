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

std::uint16_t BusState::number_of_name(const std::string& name) {
    const auto known = std::find(names.begin(), names.end(), name);
    if (known != names.end()) return static_cast<std::uint16_t>(known - names.begin());
    if (names.size() > std::numeric_limits<std::uint16_t>::max()) return 0;  // so many reloads with names of their own
    names.push_back(name);
    return static_cast<std::uint16_t>(names.size() - 1);
}

void AnnouncerSlot::set_callbacks(std::function<void()> room, std::function<void(std::size_t)> marks) {
    const std::lock_guard lock(room_mutex);
    on_room = std::move(room);
    on_marks = std::move(marks);
    ++epoch;
}

Result<AnnouncerId> Bus::add_announcer(AnnouncerOptions options) {
    const std::lock_guard registration(state_->registration);
    auto& slots = state_->announcers;
    for (const AnnouncerSlot& slot : slots)
        if (slot.taken && slot.name == options.name)
            return Error{FLOWD_BUSY, "there is an announcer named " + options.name + " already"};
    const auto free = std::find_if(slots.begin(), slots.end(), [](const AnnouncerSlot& slot) { return !slot.taken; });
    if (free == slots.end()) return no_slot("plugin instances", max_announcers);

    const auto index = static_cast<std::uint32_t>(free - slots.begin());
    free->set_callbacks(std::move(options.on_room), std::move(options.on_marks));
    const auto locks = state_->lock_all();
    free->taken = true;
    free->name_number = state_->number_of_name(options.name);
    free->name = std::move(options.name);
    free->precedence = options.precedence;
    free->max_live = options.max_live;
    free->reset_counters();
    const std::uint32_t generation = ++free->generation;
    for (Shard& shard : state_->shards) shard.announcing |= std::uint64_t{1} << index;
    return AnnouncerId{index, generation};
}

Result<void> Bus::replace_announcer(AnnouncerId id, AnnouncerOptions options) {
    const std::lock_guard registration(state_->registration);
    if (id.slot >= max_announcers || !state_->announcers[id.slot].taken ||
        state_->announcers[id.slot].generation != id.generation)
        return Error{FLOWD_NOT_FOUND, "the announcer to be replaced by " + options.name + " is gone"};
    AnnouncerSlot& slot = state_->announcers[id.slot];
    std::function<void()> on_room = options.on_room;
    slot.set_callbacks(std::move(options.on_room), std::move(options.on_marks));
    state_->drop_marks(id.slot);
    {
        const auto locks = state_->lock_all();
        slot.name_number = state_->number_of_name(options.name);
        slot.name = std::move(options.name);
        slot.precedence = options.precedence;
        slot.max_live = options.max_live;
    }
    // The predecessor may have been told FULL, and been given the room that the successor does not know of.
    if (on_room) on_room();
    return {};
}

void Bus::remove_announcer(AnnouncerId id) {
    const std::lock_guard registration(state_->registration);
    if (id.slot >= max_announcers || !state_->announcers[id.slot].taken ||
        state_->announcers[id.slot].generation != id.generation)
        return;
    AnnouncerSlot& slot = state_->announcers[id.slot];
    const std::uint64_t bit = std::uint64_t{1} << id.slot;
    const Now now = state_->now();
    Notices notices(*state_);
    ++slot.generation;
    for (Shard& shard : state_->shards) {
        {
            const std::lock_guard lock(shard.mutex);
            shard.announcing &= ~bit;
            for (std::uint32_t i = 0; i < shard.store.end(); ++i) {
                Flow& flow = shard.store[i];
                if (flow.state != FlowState::live) continue;
                if (flow.announcers == bit) {
                    state_->expire(shard, flow, Expiry::unannounced, now, notices);
                    continue;
                }
                shard.announcements.leave(flow, static_cast<std::uint8_t>(id.slot));
                shard.next_expiry_ns = std::min(shard.next_expiry_ns, state_->expiry_of(flow));
                if (flow.owner == id.slot) flow.disown();
                if (flow.charged == id.slot) {  // also one that it had left
                    flow.charged = static_cast<std::uint8_t>(__builtin_ctzll(flow.announcers));
                    --slot.live;
                    ++state_->announcers[flow.charged].live;
                }
            }
        }
        notices.fire();
    }
    state_->withdraw_catch_all(id.slot, now.system, notices);
    notices.fire();
    slot.set_callbacks(nullptr, nullptr);
    state_->drop_marks(id.slot);
    slot.taken = false;
}

Result<std::shared_ptr<BackendQueue>> Bus::add_backend(BackendOptions options) {
    const std::lock_guard registration(state_->registration);
    auto& slots = state_->backends;
    const auto free = std::find(slots.begin(), slots.end(), nullptr);
    if (free == slots.end()) return no_slot("backend instances", max_backends);
    *free = std::make_shared<QueueCore>(std::move(options), static_cast<unsigned>(free - slots.begin()), state_,
                                        state_->clock.steady_ns());
    state_->attach(*free);
    (*free)->wake();
    return std::make_shared<BackendQueue>(*free);
}

void BusState::attach_to(Shard& shard, const QueueCore& queue) {
    const std::uint32_t bit = 1u << queue.slot;
    const auto set = [bit](std::uint32_t& mask, bool on) { mask = on ? mask | bit : mask & ~bit; };
    set(shard.active, true);
    set(shard.takes_start, queue.takes(FLOWD_EVENT_START));
    set(shard.takes_ongoing, queue.takes(FLOWD_EVENT_ONGOING));
    set(shard.takes_end, queue.takes(FLOWD_EVENT_END));
    for (std::uint32_t i = 0; i < shard.store.end(); ++i) {
        Flow& flow = shard.store[i];
        if (flow.state == FlowState::free) continue;
        const bool over = flow.state == FlowState::ended;  // before its time
        set(flow.started, over || !queue.takes(FLOWD_EVENT_START));
        set(flow.tagged, over || !queue.takes(FLOWD_EVENT_START));
        set(flow.ended, over);
    }
}

void BusState::detach_from(Shard& shard, const QueueCore& queue) {
    const std::uint32_t bit = 1u << queue.slot;
    // While the bit is still active: what was owed to this backend alone can go.
    for (std::uint32_t i = 0; i < shard.store.end(); ++i) {
        Flow& flow = shard.store[i];
        if (flow.state != FlowState::ended || (flow.ended & bit)) continue;
        mark_ended(shard, flow, bit);
        settle(shard, flow);
    }
    shard.active &= ~bit;
    shard.takes_start &= ~bit;
    shard.takes_ongoing &= ~bit;
    shard.takes_end &= ~bit;
}

void BusState::attach(const std::shared_ptr<QueueCore>& queue) {
    for (Shard& shard : shards) {
        const std::lock_guard lock(shard.mutex);
        attach_to(shard, *queue);
    }
}

void BusState::inherit_owed(Shard& shard, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t i = 0; i < shard.store.end(); ++i) {
        Flow& flow = shard.store[i];
        if (flow.state != FlowState::ended || (flow.ended & from)) continue;
        flow.ended &= ~to;
        if (!(flow.started & from)) flow.started &= ~to;
    }
}

void BusState::hand_over(std::shared_ptr<QueueCore> from, const std::shared_ptr<QueueCore>& to, Notices& notices) {
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
        if (to->takes(FLOWD_EVENT_END)) inherit_owed(shard, 1u << from->slot, 1u << to->slot);
        detach_from(shard, *from);
    }
    const std::lock_guard lock(from->mutex);
    for (Wait& wait : from->waits)
        if (std::exchange(wait.walk, 0) != 0) wait.place = from->pushed;
    from->pass_marks(notices);
    notices.announcers |= std::exchange(from->waiting, 0);
    backends[from->slot].reset();
}

void BusState::detach(std::shared_ptr<QueueCore> queue, Notices& notices) {
    queue->detach();
    for (Shard& shard : shards) {
        const std::lock_guard lock(shard.mutex);
        detach_from(shard, *queue);
    }
    const std::lock_guard lock(queue->mutex);
    while (queue->head) queue->head = std::move(queue->head->next);
    queue->tail = nullptr;
    queue->used = 0;
    queue->bytes = 0;
    queue->waits.clear();
    notices.marks = true;
    notices.announcers |= std::exchange(queue->waiting, 0);
    backends[queue->slot].reset();
}

void Bus::remove_backend(const std::shared_ptr<BackendQueue>& queue) {
    const std::lock_guard registration(state_->registration);
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
    const std::lock_guard registration(state_->registration);
    if (!old || state_->backends[old->core_->slot] != old->core_)
        return Error{FLOWD_NOT_FOUND, "the backend to be replaced by " + options.name + " is gone"};
    // Both have a slot for a moment: the old one still has what it was told before.
    auto& slots = state_->backends;
    const auto free = std::find(slots.begin(), slots.end(), nullptr);
    if (free == slots.end()) return no_slot("backend instances", max_backends);
    *free = std::make_shared<QueueCore>(std::move(options), static_cast<unsigned>(free - slots.begin()), state_,
                                        state_->clock.steady_ns());
    const std::shared_ptr<QueueCore> fresh = *free;
    Notices notices(*state_);
    state_->hand_over(old->core_, fresh, notices);
    fresh->wake();
    notices.fire();
    return std::make_shared<BackendQueue>(fresh);
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
