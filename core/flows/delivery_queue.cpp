// SPDX-License-Identifier: Apache-2.0
#include "core/flows/delivery_queue.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <thread>
#include <utility>

#include "core/flows/delivery.hpp"

namespace flowd::core {
namespace {

constexpr std::int64_t short_sleep_ns = 50'000;
constexpr std::uint64_t all_walks = std::numeric_limits<std::uint64_t>::max();

}  // namespace

DeliveryQueue::DeliveryQueue(BackendOptions options, unsigned slot, std::shared_ptr<Delivery> delivery, std::int64_t now)
    : name_(std::move(options.name)),
      accepts_(options.accepts),
      slot_(slot),
      delivery_(std::move(delivery)),
      limits_(options.limits),
      wake_(std::move(options.wake)),
      head_(new Chunk),  // not make_unique: the events need not be zeroed
      progress_ns_(now) {
    tail_ = head_.get();
    limits_.events = std::max<std::size_t>(limits_.events, 1);
}

DeliveryQueue::~DeliveryQueue() {
    while (head_) head_ = std::move(head_->next);  // its own destructor would recurse deeply
    for (auto& place : returned_) delete place.load();
}

std::size_t DeliveryQueue::depth() const {
    return used();
}

BackendCounters DeliveryQueue::counters() const {
    BackendCounters out;
    {
        const std::lock_guard lock(mutex_);
        out = counts_;
        out.depth = used();
        out.bytes = bytes();
        out.high_water = std::max<std::uint64_t>(high_water_, out.depth);
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
    bool fits = has_room(bytes);
    if (!fits) {
        attention_ = true;  // from here on the consumer tells us of the room that it makes
        fits = has_room(bytes);
    }
    if (!fits && !behind_ && (!patient_ || is_stalled(now))) fall_behind();
    if (behind_) return Room::behind;
    if (!fits) {
        ++counts_.refused_full;
        waiting_ |= std::uint64_t{1} << announcer;
        return Room::no;
    }
    if (needs_chunk() && !spare_) spare_ = free_chunk();
    lock.release();
    return Room::yes;
}

bool DeliveryQueue::push_due(const Outgoing& event, std::uint32_t more_flags, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    if (behind_ || !has_room(event.bytes())) return false;
    append(event, more_flags, now);
    if (more_flags & FLOWD_RESYNC) ++counts_.resynced;
    publish();
    return true;
}

void DeliveryQueue::push_ongoing(const Outgoing& event, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    if (behind_ || used() * 4 >= limits_.events * 3 || (bytes() + event.bytes()) * 4 > limits_.bytes * 3)
        ++counts_.shed_ongoing;
    else
        append(event, 0, now);
}

std::unique_ptr<DeliveryQueue::Chunk> DeliveryQueue::free_chunk() {
    for (auto& place : returned_)
        if (place.load(std::memory_order_relaxed))
            if (Chunk* const chunk = place.exchange(nullptr, std::memory_order_acquire))
                return std::unique_ptr<Chunk>(chunk);
    return std::unique_ptr<Chunk>(new Chunk);
}

void DeliveryQueue::append(const Outgoing& event, std::uint32_t more_flags, std::int64_t now) {
    if (needs_chunk()) {
        tail_->next = spare_ ? std::move(spare_) : free_chunk();
        tail_ = tail_->next.get();
    }
    const std::uint64_t number = pushed_.load(std::memory_order_relaxed);
    const std::size_t at = number % per_chunk;
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
        bytes_pushed_ += event.payload->bytes();
        counts_.bytes_high_water = std::max<std::uint64_t>(counts_.bytes_high_water, bytes());
    }
    if (number == taken_) filled_ns_ = now;
    pushed_.store(number + 1, std::memory_order_release);
}

void DeliveryQueue::publish() {
    const std::uint64_t pushed = pushed_.load(std::memory_order_acquire);
    std::uint64_t published = published_.load(std::memory_order_relaxed);
    while (published < pushed && !published_.compare_exchange_weak(published, pushed)) {
    }
}

void DeliveryQueue::tell() {
    publish();
    if (armed_ && armed_.exchange(false)) wake();
}

void DeliveryQueue::miss() {
    const std::lock_guard lock(mutex_);
    ++counts_.missed;
    missed_ = true;
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
    if (!is_stalled(now)) return std::max<std::int64_t>(progress_ns_, filled_ns_) + limits_.stall_after_ns;
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
    publish();
    walks_are_over(all_walks, notices);
    tell_room(notices);
}

Remains DeliveryQueue::clear(Notices& notices) {
    std::uint64_t pushed = 0;
    std::uint64_t bytes_pushed = 0;
    {
        const std::lock_guard lock(mutex_);
        pushed = pushed_;
        bytes_pushed = bytes_pushed_;
        waits_.clear();
        notices.look_at_marks();
        tell_room(notices);
    }
    // Without the lock for which emitting threads may wait, and with the other one for a chunk at a time.
    Remains remains;
    while (drop_some(pushed, remains)) {
    }
    bytes_taken_ = bytes_pushed;
    return remains;
}

bool DeliveryQueue::drop_some(std::uint64_t end, Remains& remains) {
    const std::lock_guard consumer(taking_);
    dropped_ = true;
    offered_ = 0;  // they remain, because the consumer may be reading them
    const std::uint64_t taken = taken_;
    if (taken >= end) return false;
    note_high_water(end);
    if (auto former = next_chunk(taken); former && !kept_) kept_ = std::move(former);
    const std::size_t first = taken % per_chunk;
    const std::size_t count = std::min<std::uint64_t>(per_chunk - first, end - taken);
    remains.add({head_->events.data() + first, count});
    release(*head_, first, count);
    taken_ = taken + count;
    return true;
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
    attention_ = true;  // from here on the consumer looks at the waits when it has settled events
    while (!waits_.empty() && is_due(waits_.front())) waits_.pop_front();
}

std::uint64_t DeliveryQueue::first_wait() const {
    const std::lock_guard lock(mutex_);
    return waits_.empty() ? std::numeric_limits<std::uint64_t>::max() : waits_.front().mark;
}

bool DeliveryQueue::is_over() const {
    const std::lock_guard lock(mutex_);
    return closed_ || done() == pushed_;
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
    // Where events follow each other closely, the next ones are there after other threads have run, and a wake costs both
    // threads more than these events.
    if (in_sequence_ && !armed_ && published_ == taken_) std::this_thread::yield();
    Notices notices(*delivery_);
    while (attached_) {
        if (catch_all_version_ != delivery_->catch_all().version()) {
            const auto told = take_catch_all();
            if (!told.empty()) return offer(told);
        }
        delivery_->resync(*this, notices);
        const auto found = pop(notices);
        notices.fire();
        if (!found.empty()) return offer(found);
        if (has_unpublished()) return {};  // the wake is armed, and tell() follows
        // pop() has armed the wake; what was missed before that has not triggered it.
        if (!missed_ && !walking_ && catch_all_version_ == delivery_->catch_all().version()) return {};
    }
    return sealed_ ? offer(pop(notices)) : std::span<const flowd_event>();
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
    attention_ = true;
    tell_room(notices);
    if (!is_catch_all(rest_)) settled_ = taken_ - rest_.size();
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

std::span<const flowd_event> DeliveryQueue::pop(Notices& notices) {
    const std::int64_t now = delivery_->steady_ns();
    in_sequence_ = now - progress_ns_ < short_sleep_ns;
    progress_ns_ = now;
    const std::lock_guard consumer(taking_);
    if (dropped_) return {};
    const std::uint64_t taken = taken_;
    release(*head_, taken % per_chunk == 0 ? per_chunk - offered_ : taken % per_chunk - offered_, offered_);
    offered_ = 0;
    settled_ = taken;
    catch_all_done_ = catch_all_version_;
    std::span<const flowd_event> found;
    const std::uint64_t published = look(taken);
    if (published > taken) {
        note_high_water(pushed_);
        if (auto former = next_chunk(taken)) recycle(std::move(former));
        const std::size_t first = taken % per_chunk;
        offered_ = std::min<std::uint64_t>(per_chunk - first, published - taken);
        std::uint64_t bytes = 0;
        for (std::size_t i = first; i < first + offered_; ++i)
            if (head_->payloads[i]) bytes += head_->payloads[i]->bytes();
        if (bytes != 0) bytes_taken_ += bytes;
        taken_ = taken + offered_;
        current_ = head_.get();
        found = {head_->events.data() + first, offered_};
    }
    if (attention_) look_after(notices);
    return found;
}

std::uint64_t DeliveryQueue::look(std::uint64_t taken) {
    std::uint64_t published = published_;
    if (published > taken) return published;
    armed_ = true;
    published = published_;
    if (published > taken) armed_ = false;
    return published;
}

void DeliveryQueue::look_after(Notices& notices) {
    const std::lock_guard lock(mutex_);
    behind_ = false;
    pass_marks(notices);
    if (is_under_half()) {
        patient_ = true;
        tell_room(notices);
    }
    attention_ = !patient_ || waiting_ != 0 || !waits_.empty();
}

std::unique_ptr<DeliveryQueue::Chunk> DeliveryQueue::next_chunk(std::uint64_t number) {
    if (number % per_chunk != 0 || number == 0) return nullptr;
    auto former = std::move(head_);
    head_ = std::move(former->next);
    return former;
}

void DeliveryQueue::release(Chunk& chunk, std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) {
        if (!chunk.texts[i].empty()) chunk.texts[i].reset();
        if (chunk.payloads[i]) chunk.payloads[i].reset();
    }
}

void DeliveryQueue::recycle(std::unique_ptr<Chunk> chunk) {
    for (auto& place : returned_) {
        if (place.load(std::memory_order_relaxed) != nullptr) continue;
        place.store(chunk.release(), std::memory_order_release);  // only this thread fills them
        return;
    }
}

void DeliveryQueue::note_high_water(std::uint64_t pushed) {
    high_water_ = std::max<std::uint64_t>(high_water_, pushed - taken_);
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
    if (is_catch_all(events)) {  // it was not in the queue
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
