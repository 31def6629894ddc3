// SPDX-License-Identifier: Apache-2.0
#include "core/flows/delivery_queue.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "core/flows/delivery.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t spare_chunks = 4;
constexpr std::uint64_t all_walks = std::numeric_limits<std::uint64_t>::max();

}  // namespace

void DeliveryQueue::Chunk::clear() {
    for (std::size_t i = 0; i < count; ++i) {
        texts[i].reset();
        payloads[i].reset();
    }
    count = 0;
    bytes = 0;
}

DeliveryQueue::DeliveryQueue(BackendOptions options, unsigned slot, std::shared_ptr<Delivery> delivery, std::int64_t now)
    : name_(std::move(options.name)),
      accepts_(options.accepts),
      slot_(slot),
      delivery_(std::move(delivery)),
      limits_(options.limits),
      progress_ns_(now),
      wake_(std::move(options.wake)) {
    limits_.events = std::max<std::size_t>(limits_.events, 1);
}

/// Iterative, because the destructor of a long list would recurse deeply.
void DeliveryQueue::drop(std::unique_ptr<Chunk> list) {
    while (list) list = std::move(list->next);
}

DeliveryQueue::~DeliveryQueue() {
    drop(std::move(head_));
}

std::size_t DeliveryQueue::depth() const {
    const std::lock_guard lock(mutex_);
    return used_;
}

BackendCounters DeliveryQueue::counters() const {
    BackendCounters out;
    {
        const std::lock_guard lock(mutex_);
        out = counts_;
        out.depth = used_;
        out.bytes = bytes_;
        out.behind = behind_;
        out.capacity = limits_.events;
    }
    const auto copy = [](auto& to, const auto& from) { std::copy(from.begin(), from.end(), to.begin()); };
    out.name = name_;
    copy(out.delivered, delivered_);
    copy(out.latency, latency_);
    out.latency_sum_us = latency_sum_us_;
    out.refused = refused_;
    out.failed = failed_;
    return out;
}

DeliveryQueue::Room DeliveryQueue::open(std::size_t bytes, std::uint32_t announcer, std::int64_t now) {
    std::unique_lock lock(mutex_);
    const bool fits = has_room(bytes);
    if (!fits && !behind_ && (!patient_ || is_stalled(now))) fall_behind();
    if (behind_) return Room::behind;
    if (!fits) {
        ++counts_.refused_full;
        waiting_ |= std::uint64_t{1} << announcer;
        return Room::no;
    }
    const bool is_full = !tail_ || tail_->count == tail_->events.size();
    if (is_full && spare_.empty()) spare_.push_back(std::unique_ptr<Chunk>(new Chunk));
    lock.release();
    return Room::yes;
}

bool DeliveryQueue::push(const Outgoing& event, std::int64_t now) {
    append(event, 0, now);
    return disarm();
}

DeliveryQueue::Pushed DeliveryQueue::push_due(const Outgoing& event, std::uint32_t more_flags, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    if (behind_ || !has_room(event.bytes())) return Pushed::no;
    if (more_flags & FLOWD_RESYNC) ++counts_.resynced;
    append(event, more_flags, now);
    return disarm() ? Pushed::wake : Pushed::yes;
}

bool DeliveryQueue::push_ongoing(const Outgoing& event, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    if (behind_ || used_ * 4 >= limits_.events * 3 || (bytes_ + event.bytes()) * 4 > limits_.bytes * 3) {
        ++counts_.shed_ongoing;
        return false;
    }
    append(event, 0, now);
    return disarm();
}

void DeliveryQueue::append(const Outgoing& event, std::uint32_t more_flags, std::int64_t now) {
    if (!tail_ || tail_->count == tail_->events.size()) {
        std::unique_ptr<Chunk> chunk;
        if (spare_.empty()) {
            chunk.reset(new Chunk);  // not make_unique: the events need not be zeroed
        } else {
            chunk = std::move(spare_.back());
            spare_.pop_back();
        }
        Chunk* const fresh = chunk.get();
        (tail_ ? tail_->next : head_) = std::move(chunk);
        tail_ = fresh;
    }
    const std::size_t at = tail_->count++;
    flowd_event& own = tail_->events[at];
    own = event.event;
    own.flags |= more_flags;
    tail_->queued_ns[at] = now;
    if (!event.texts.empty()) {
        tail_->texts[at] = event.texts;
        event.texts.lend_to(own);
    }
    if (event.payload) {
        tail_->payloads[at] = event.payload;
        event.payload->attach_to(own);
        tail_->bytes += event.payload->bytes();
        bytes_ += event.payload->bytes();
        counts_.bytes_high_water = std::max<std::uint64_t>(counts_.bytes_high_water, bytes_);
    }
    ++pushed_;
    if (used_++ == 0) progress_ns_ = now;
    counts_.high_water = std::max<std::uint64_t>(counts_.high_water, used_);
}

bool DeliveryQueue::miss() {
    const std::lock_guard lock(mutex_);
    ++counts_.missed;
    missed_ = true;
    return disarm();
}

bool DeliveryQueue::must_be_woken() {
    const std::lock_guard lock(mutex_);
    return disarm();
}

void DeliveryQueue::wake() {
    const std::lock_guard lock(wake_mutex_);
    if (wake_) wake_();
}

void DeliveryQueue::set_limits(const QueueLimits& limits, Notices& notices) {
    const std::lock_guard lock(mutex_);
    limits_ = limits;
    limits_.events = std::max<std::size_t>(limits_.events, 1);
    if (is_under_half()) tell_room(notices);
}

std::int64_t DeliveryQueue::watch_stall(std::int64_t now, Notices& notices) {
    const std::lock_guard lock(mutex_);
    if (waiting_ == 0) return never_ns;
    if (!is_stalled(now)) return progress_ns_ + limits_.stall_after_ns;
    fall_behind();
    tell_room(notices);
    return never_ns;
}

void DeliveryQueue::fall_behind() {
    patient_ = false;
    if (behind_) return;
    behind_ = true;
    ++counts_.stalls;
}

void DeliveryQueue::tell_room(Notices& notices) {
    notices.tell_room(std::exchange(waiting_, 0));
}

void DeliveryQueue::detach() {
    attached_ = false;
    const std::lock_guard lock(wake_mutex_);
    wake_ = nullptr;
}

void DeliveryQueue::seal() {
    sealed_ = true;
    detach();
}

void DeliveryQueue::pass_walks(Notices& notices) {
    const std::lock_guard lock(mutex_);
    walks_are_over(all_walks, notices);
    tell_room(notices);
}

Remains DeliveryQueue::clear(Notices& notices) {
    std::unique_ptr<Chunk> dropped;  // destroyed without the lock, for which emitting threads may wait
    {
        const std::lock_guard lock(mutex_);
        dropped = std::move(head_);
        tail_ = nullptr;
        used_ = 0;
        bytes_ = 0;
        waits_.clear();
        notices.look_at_marks();
        tell_room(notices);
    }
    Remains remains;
    for (const Chunk* chunk = dropped.get(); chunk != nullptr; chunk = chunk->next.get())
        remains.add({chunk->events.data(), chunk->count});
    drop(std::move(dropped));
    return remains;
}

void DeliveryQueue::wait_for(std::uint64_t mark) {
    const std::lock_guard lock(mutex_);
    if (closed_ || !(attached_ || sealed_)) return;
    const Wait wait{mark, pushed_, missed_ ? walks_ + 1 : walking_ ? walks_ : 0, delivery_->catch_all().version()};
    if (waits_.empty() && is_due(wait)) return;
    if (!waits_.empty()) {
        const Wait& last = waits_.back();
        if (last.place == wait.place && last.walk == wait.walk && last.catch_all == wait.catch_all) return;
    }
    waits_.push_back(wait);
}

std::uint64_t DeliveryQueue::first_wait() const {
    const std::lock_guard lock(mutex_);
    return waits_.empty() ? std::numeric_limits<std::uint64_t>::max() : waits_.front().mark;
}

bool DeliveryQueue::is_over() const {
    const std::lock_guard lock(mutex_);
    return closed_ || (head_ == nullptr && done() == pushed_);
}

void DeliveryQueue::acknowledge(std::uint64_t settled) {
    Notices notices(*delivery_);
    const std::lock_guard lock(mutex_);
    acknowledges_ = true;
    acknowledged_ = std::max(acknowledged_, settled);
    pass_marks(notices);
    if (sealed_) notices.look_at_marks();
}

void DeliveryQueue::walks_are_over(std::uint64_t up_to, Notices& notices) {
    for (Wait& wait : waits_) {
        if (wait.walk > up_to) break;
        if (std::exchange(wait.walk, 0) != 0) wait.place = pushed_;
    }
    pass_marks(notices);
}

void DeliveryQueue::pass_marks(Notices& notices) {
    while (!waits_.empty() && is_due(waits_.front())) {
        waits_.pop_front();
        notices.look_at_marks();
    }
}

FlowTable::Walk* DeliveryQueue::walk() {
    if (!(missed_ || walking_)) return nullptr;
    const std::lock_guard lock(mutex_);
    if (!is_under_half()) return nullptr;
    if (!walking_) {
        behind_ = false;
        ++counts_.resyncs;
        ++walks_;
        missed_ = false;  // events that are missed from here on need another walk
        walking_ = true;
        walk_ = {};
    }
    return &walk_;
}

void DeliveryQueue::walk_ended(Notices& notices) {
    const std::lock_guard lock(mutex_);
    walking_ = false;
    walks_are_over(walks_, notices);
}

bool DeliveryQueue::has_half() const {
    const std::lock_guard lock(mutex_);
    return is_under_half();
}

std::span<const flowd_event> DeliveryQueue::take() {
    if (std::exchange(held_, false)) return rest_;
    settle(Fate::taken, rest_.size());
    if (closed_) return {};
    if (current_) {
        current_->clear();
        const std::lock_guard lock(mutex_);
        if (spare_.size() < spare_chunks) spare_.push_back(std::move(current_));
        current_.reset();
    }
    Notices notices(*delivery_);
    while (attached_) {
        if (catch_all_version_ != delivery_->catch_all().version()) {
            const auto told = take_catch_all();
            if (!told.empty()) return offer(told);
        }
        delivery_->resync(*this, notices);
        const bool found = pop(notices);
        notices.fire();
        if (found) return offer({current_->events.data(), current_->count});
        // pop() has armed the wake; what was missed before that has not triggered it.
        if (!missed_ && !walking_ && catch_all_version_ == delivery_->catch_all().version()) return {};
    }
    if (!sealed_ || !pop(notices)) return {};
    return offer({current_->events.data(), current_->count});
}

void DeliveryQueue::settle(Fate fate, std::size_t count) {
    const auto events = rest_.first(std::min(count, rest_.size()));
    if (events.empty()) return;
    if (fate == Fate::taken)
        count_taken(events);
    else
        (fate == Fate::refused ? refused_ : failed_).fetch_add(events.size(), std::memory_order_relaxed);
    rest_ = rest_.subspan(events.size());
}

void DeliveryQueue::hold() {
    held_ = !rest_.empty();
    Notices notices(*delivery_);
    const std::lock_guard lock(mutex_);
    ++counts_.held;
    patient_ = false;
    tell_room(notices);
    if (current_) settled_ = pushed_ - used_ - rest_.size();
    pass_marks(notices);
}

Remains DeliveryQueue::close() {
    Remains remains;
    if (closed_) return remains;
    remains.add(std::exchange(rest_, {}));
    held_ = false;
    Notices notices(*delivery_);
    if (attached_ && (missed_ || walking_)) remains.add(delivery_->owed_to(slot_));
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        patient_ = false;
    }
    remains.add(clear(notices));
    return remains;
}

bool DeliveryQueue::pop(Notices& notices) {
    const std::int64_t now = delivery_->steady_ns();
    const std::lock_guard lock(mutex_);
    progress_ns_ = now;
    behind_ = false;
    settled_ = pushed_ - used_;
    catch_all_done_ = catch_all_version_;
    pass_marks(notices);
    if (!head_) {
        patient_ = true;
        armed_ = true;
        tell_room(notices);
        return false;
    }
    current_ = std::move(head_);
    head_ = std::move(current_->next);
    if (!head_) tail_ = nullptr;
    used_ -= current_->count;
    bytes_ -= current_->bytes;
    if (is_under_half()) {
        patient_ = true;
        tell_room(notices);
    }
    return true;
}

std::span<const flowd_event> DeliveryQueue::take_catch_all() {
    CatchAll::State state = delivery_->catch_all().state();
    catch_all_version_ = state.version;
    const bool present = state.event.kind == FLOWD_EVENT_CATCH_ALL;
    if (!takes(state.event.kind) || (!present && !catch_all_told_)) return {};
    catch_all_ = state.event;
    catch_all_texts_ = std::move(state.texts);
    catch_all_texts_.lend_to(catch_all_);
    catch_all_told_ = present;
    return {&catch_all_, 1};
}

void DeliveryQueue::count_taken(std::span<const flowd_event> events) {
    if (!current_) {  // the catch-all: it was not in the queue
        for (const flowd_event& event : events) delivered_[event.kind].fetch_add(1, std::memory_order_relaxed);
        return;
    }
    const std::size_t first = static_cast<std::size_t>(events.data() - current_->events.data());
    const std::int64_t now = delivery_->steady_ns();
    std::array<std::uint64_t, event_kinds> by_kind{};
    std::array<std::uint64_t, std::tuple_size_v<decltype(BackendCounters::latency)>> buckets{};
    std::uint64_t sum = 0;
    for (std::size_t i = first; i < first + events.size(); ++i) {
        ++by_kind[current_->events[i].kind];
        const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(now - current_->queued_ns[i], 0)) / 1000;
        ++buckets[std::min<std::size_t>(std::bit_width(us), buckets.size() - 1)];
        sum += us;
    }
    for (std::size_t i = 0; i < by_kind.size(); ++i)
        if (by_kind[i]) delivered_[i].fetch_add(by_kind[i], std::memory_order_relaxed);
    for (std::size_t i = 0; i < buckets.size(); ++i)
        if (buckets[i]) latency_[i].fetch_add(buckets[i], std::memory_order_relaxed);
    latency_sum_us_.fetch_add(sum, std::memory_order_relaxed);
}

}  // namespace flowd::core
