// SPDX-License-Identifier: Apache-2.0
#include "core/flows/delivery.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace flowd::core {

void Notices::tell(const std::shared_ptr<DeliveryQueue>& queue) noexcept {
    if (std::find(queues_.begin(), queues_.end(), queue) != queues_.end()) return;
    try {
        if (queues_.empty()) queues_.reserve(4);
        queues_.push_back(queue);
    } catch (const std::bad_alloc&) {
        queue->tell();  // with locks held, because it might never be told otherwise
    }
}

void Notices::fire() {
    for (const auto& queue : queues_) queue->tell();
    queues_.clear();
    Membership& members = delivery_.members_;
    for_each_bit(std::exchange(announcers_, 0), [&](unsigned slot) { members.announcer(slot).tell_room(); });
    if (!std::exchange(marks_, false)) return;
    for (const auto& own : delivery_.marks_.take_passed()) members.announcer(own.slot).tell_marks(own.epoch, own.count);
}

void Notices::ended(FlowTable::Shard& shard, const Flow& flow, std::uint32_t to, Now now) {
    delivery_.bring_up(shard, flow.id, to, now, *this);
}

bool Delivery::Gate::open(std::uint32_t backends, std::size_t bytes, std::uint32_t announcer, std::int64_t now) {
    for (; backends != 0; backends &= backends - 1) {
        const auto slot = static_cast<unsigned>(__builtin_ctz(backends));
        const auto room = members_.backend(slot)->open(bytes, announcer, now);
        if (room == DeliveryQueue::Room::yes) held_ |= 1u << slot;
        if (room != DeliveryQueue::Room::no) continue;
        release();
        return false;
    }
    return true;
}

void Delivery::Gate::push(const Outgoing& event, std::int64_t now, Notices& notices) {
    for_each_bit(held_, [&](unsigned slot) {
        const auto& queue = members_.backend(slot);
        queue->push(event, now);
        notices.tell(queue);
    });
    release();
}

void Delivery::Gate::release() {
    for_each_bit(std::exchange(held_, 0), [this](unsigned slot) { members_.backend(slot)->release(); });
}

void Delivery::push_ongoing(std::uint32_t to, const Outgoing& event, std::int64_t now, Notices& notices) {
    for_each_bit(to, [&](unsigned slot) {
        const auto& queue = members_.backend(slot);
        queue->push_ongoing(event, now);
        notices.tell(queue);
    });
}

void Delivery::bring_up(FlowTable::Shard& shard, std::uint64_t flow_id, std::uint32_t to, Now now, Notices& notices) {
    for_each_bit(to, [&](unsigned slot) {
        const Flow* const flow = FlowTable::by_id(shard, flow_id);
        if (flow == nullptr) return;  // its end was the last event that was due
        const auto& queue = members_.backend(slot);
        try {
            if (bring_up_key(shard, *flow, queue, 0, now, notices)) return;
        } catch (const std::bad_alloc&) {
            // As with a queue that has no room, it is resynchronised later.
        }
        queue->miss();
        notices.tell(queue);
    });
}

bool Delivery::bring_up_key(FlowTable::Shard& shard, const Flow& flow, const std::shared_ptr<DeliveryQueue>& queue,
                            std::uint32_t end_flags, Now now, Notices& notices) {
    for (const std::uint64_t id : FlowTable::earlier(shard, flow))  // delivering one may remove its record
        if (!bring_up_one(shard, *FlowTable::by_id(shard, id), queue, FLOWD_RESYNC, now, notices)) return false;
    return bring_up_one(shard, flow, queue, end_flags, now, notices);
}

bool Delivery::bring_up_one(FlowTable::Shard& shard, const Flow& flow, const std::shared_ptr<DeliveryQueue>& queue,
                            std::uint32_t end_flags, Now now, Notices& notices) {
    const std::uint32_t bit = 1u << queue->slot();
    while (const std::uint32_t kind = FlowTable::due(shard, flow, bit)) {
        const std::uint32_t flags = kind == FLOWD_EVENT_START     ? std::uint32_t{FLOWD_RESYNC}
                                    : kind == FLOWD_EVENT_ONGOING ? FLOWD_RETAGGED | FLOWD_RESYNC
                                                                  : end_flags;
        if (!queue->push_due(table_.event_due(shard, flow, kind, now), flags, now.steady)) return false;
        notices.tell(queue);
        table_.told(shard, flow, bit, kind, now);
        if (kind == FLOWD_EVENT_END) break;  // its record may have been removed
        end_flags = FLOWD_RESYNC;
    }
    return true;
}

void Delivery::resync(DeliveryQueue& queue, Notices& notices) {
    const unsigned slot = queue.slot();
    while (FlowTable::Walk* const walk = queue.walk()) {
        while (walk->shards != 0) {
            const Now now = table_.now();
            const bool goes_on = table_.walk_due(*walk, 1u << slot, [&](FlowTable::Shard& shard, const Flow& flow) {
                // A detached queue has no slot any more.
                return queue.is_attached() && queue.has_half() &&
                       bring_up_key(shard, flow, members_.backend(slot), FLOWD_RESYNC, now, notices);
            });
            if (!goes_on || !queue.is_attached()) return;
        }
        queue.walk_ended(notices);
    }
}

Result<std::shared_ptr<DeliveryQueue>> Delivery::add_queue(BackendOptions options, std::shared_ptr<Delivery> self) {
    const auto slot = members_.free_backend_slot();
    if (!slot) return slot.error();
    auto queue = std::make_shared<DeliveryQueue>(std::move(options), *slot, std::move(self), clock_.steady_ns());
    members_.set_backend(*slot, queue);
    return queue;
}

Result<std::shared_ptr<DeliveryQueue>> Delivery::add(BackendOptions options, std::shared_ptr<Delivery> self) {
    auto queue = add_queue(std::move(options), std::move(self));
    if (!queue) return queue;
    table_.add_recipient((*queue)->slot(), (*queue)->accepts());
    (*queue)->wake();
    return queue;
}

Result<std::shared_ptr<DeliveryQueue>> Delivery::replace(const std::shared_ptr<DeliveryQueue>& old, BackendOptions options,
                                                         std::shared_ptr<Delivery> self) {
    if (!old || members_.backend(old->slot()) != old)
        return Error{FLOWD_NOT_FOUND, "the backend to be replaced by " + options.name + " no longer exists"};
    // Both have a slot for a moment: the old one still delivers what was queued before.
    auto fresh = add_queue(std::move(options), std::move(self));
    if (!fresh) return fresh;
    Notices notices(*this);
    DeliveryQueue& successor = **fresh;
    marks_.hand_over(old, successor, [&] { table_.replace_recipient(old->slot(), successor.slot(), successor.accepts()); });
    old->pass_walks(notices);
    table_.forget_recipient(notices);
    members_.set_backend(old->slot(), nullptr);
    successor.wake();
    return fresh;
}

void Delivery::detach(DeliveryQueue& queue, Notices& notices) {
    queue.detach();
    table_.retire_recipient(queue.slot());
    (void)queue.clear(notices);
    table_.forget_recipient(notices);
    members_.set_backend(queue.slot(), nullptr);
}

void Delivery::remove(const std::shared_ptr<DeliveryQueue>& queue) {
    Notices notices(*this);
    if (members_.backend(queue->slot()) == queue) return detach(*queue, notices);
    marks_.forget(queue);
    notices.look_at_marks();
}

void Delivery::remove_all() {
    Notices notices(*this);
    for (unsigned slot = 0; slot < Bus::max_backends; ++slot)
        if (const auto queue = members_.backend(slot)) detach(*queue, notices);
    marks_.forget_all();
}

void Delivery::set_limits(const QueueLimits& limits) {
    Notices notices(*this);
    members_.for_each_backend([&](const auto& queue) { queue->set_limits(limits, notices); });
}

void Delivery::tell_catch_all() {
    const std::uint64_t version = catch_all_.version();
    if (catch_all_told_.exchange(version) == version) return;
    Notices notices(*this);
    members_.for_each_backend([&](const auto& queue) { notices.tell(queue); });
}

flowd_result Delivery::mark(AnnouncerId id) {
    Notices notices(*this);
    const flowd_result result = marks_.add(id);
    notices.look_at_marks();
    return result;
}

std::int64_t Delivery::watch_stalls(std::int64_t now) {
    Notices notices(*this);
    std::int64_t due = never_ns;
    members_.for_each_backend([&](const auto& queue) { due = std::min(due, queue->watch_stall(now, notices)); });
    return due;
}

void Delivery::count(BusCounters& out) const {
    members_.for_each_backend([&](const auto& queue) {
        out.backends.push_back(queue->counters());
        out.backends.back().given_up = table_.given_up(queue->slot());
    });
}

}  // namespace flowd::core
