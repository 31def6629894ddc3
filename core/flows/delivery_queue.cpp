// SPDX-License-Identifier: Apache-2.0
#include "core/flows/delivery_queue.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "core/flows/bus_state.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t spare_chunks = 4;

}  // namespace

void Chunk::clear() {
    for (std::size_t i = 0; i < count; ++i) {
        texts[i].reset();
        payloads[i].reset();
    }
    count = 0;
    bytes = 0;
}

QueueCore::QueueCore(BackendOptions options, unsigned slot_index, std::shared_ptr<BusState> owner, std::int64_t now)
    : name(std::move(options.name)),
      accepts(options.accepts),
      slot(slot_index),
      bus(std::move(owner)),
      progress_ns(now),
      wake_(std::move(options.wake)) {
    set(options.limits);
}

void QueueCore::set(const QueueLimits& wanted) {
    limits = wanted;
    limits.events = std::max<std::size_t>(limits.events, 1);
}

/// One by one: a long list must not end by recursion.
void drop(std::unique_ptr<Chunk> list) {
    while (list) list = std::move(list->next);
}

QueueCore::~QueueCore() {
    drop(std::move(head));
}

Remains QueueCore::clear(Notices& notices) {
    std::unique_ptr<Chunk> dropped;  // without the lock: whoever announces may wait for it
    {
        const std::lock_guard lock(mutex);
        dropped = std::move(head);
        tail = nullptr;
        used = 0;
        bytes = 0;
        waits.clear();
        notices.marks = true;
        notices.announcers |= std::exchange(waiting, 0);
    }
    Remains remains;
    for (const Chunk* chunk = dropped.get(); chunk != nullptr; chunk = chunk->next.get())
        remains.add({chunk->events.data(), chunk->count});
    drop(std::move(dropped));
    return remains;
}

void QueueCore::reserve() {
    const bool full = !tail || tail->count == tail->events.size();
    if (full && spare.empty()) spare.push_back(std::unique_ptr<Chunk>(new Chunk));
}

bool QueueCore::push(const Outgoing& event, std::uint32_t more_flags, std::int64_t now) {
    if (!tail || tail->count == tail->events.size()) {
        std::unique_ptr<Chunk> chunk;
        if (spare.empty()) {
            chunk.reset(new Chunk);  // not make_unique: the events need no zeroes
        } else {
            chunk = std::move(spare.back());
            spare.pop_back();
        }
        Chunk* const fresh = chunk.get();
        (tail ? tail->next : head) = std::move(chunk);
        tail = fresh;
    }
    const std::size_t at = tail->count++;
    flowd_event& own = tail->events[at];
    own = event.event;
    own.flags |= more_flags;
    tail->queued_ns[at] = now;
    if (!event.texts.empty()) {
        tail->texts[at] = event.texts;
        event.texts.lend_to(own);
    }
    if (event.payload) {
        tail->payloads[at] = event.payload;
        event.payload->attach_to(own);
        tail->bytes += event.payload->bytes();
        bytes += event.payload->bytes();
        counts.bytes_high_water = std::max<std::uint64_t>(counts.bytes_high_water, bytes);
    }
    ++pushed;
    if (used++ == 0) progress_ns = now;
    counts.high_water = std::max<std::uint64_t>(counts.high_water, used);
    return disarm();
}

void QueueCore::fall_behind() {
    patient = false;
    if (behind) return;
    behind = true;
    ++counts.stalls;
}

void QueueCore::wake() {
    const std::lock_guard lock(wake_mutex_);
    if (wake_) wake_();
}

void QueueCore::detach() {
    attached = false;
    const std::lock_guard lock(wake_mutex_);
    wake_ = nullptr;
}

BackendCounters QueueCore::counters() const {
    BackendCounters out;
    {
        const std::lock_guard lock(mutex);
        out = counts;
        out.depth = used;
        out.bytes = bytes;
        out.behind = behind;
        out.capacity = limits.events;
    }
    const auto copy = [](auto& to, const auto& from) { std::copy(from.begin(), from.end(), to.begin()); };
    out.name = name;
    copy(out.delivered, delivered);
    copy(out.latency, latency);
    out.latency_sum_us = latency_sum_us;
    out.refused = refused;
    out.failed = failed;
    return out;
}

std::span<const flowd_event> QueueCore::take() {
    if (std::exchange(held, false)) return rest;
    settle(Fate::taken, rest.size());
    if (closed) return {};
    if (current) {
        current->clear();
        const std::lock_guard lock(mutex);
        if (spare.size() < spare_chunks) spare.push_back(std::move(current));
        current.reset();
    }
    Notices notices(*bus);
    while (attached) {
        if (catch_all_version != bus->catch_all.version()) {
            const auto told = take_catch_all();
            if (!told.empty()) return offer(told);
        }
        if (missed || walking) bus->resync(*this, notices);
        const bool found = pop(notices);
        notices.fire();
        if (found) return offer({current->events.data(), current->count});
        // pop() has armed the wake; what was marked before that was not told by it.
        if (!missed && !walking && catch_all_version == bus->catch_all.version()) return {};
    }
    if (!sealed || !pop(notices)) return {};
    return offer({current->events.data(), current->count});
}

void QueueCore::settle(Fate fate, std::size_t count) {
    const auto events = rest.first(std::min(count, rest.size()));
    if (events.empty()) return;
    if (fate == Fate::taken)
        count_taken(events);
    else
        (fate == Fate::refused ? refused : failed).fetch_add(events.size(), std::memory_order_relaxed);
    rest = rest.subspan(events.size());
}

void QueueCore::hold() {
    held = !rest.empty();
    Notices notices(*bus);
    const std::lock_guard lock(mutex);
    ++counts.held;
    patient = false;
    notices.announcers |= std::exchange(waiting, 0);
    if (current) settled = pushed - used - rest.size();
    pass_marks(notices);
}

Remains QueueCore::close() {
    Remains remains;
    if (closed) return remains;
    remains.add(std::exchange(rest, {}));
    held = false;
    Notices notices(*bus);
    if (attached && (missed || walking)) bus->count_owed(*this, remains);
    {
        const std::lock_guard lock(mutex);
        closed = true;
        patient = false;
    }
    remains.add(clear(notices));
    return remains;
}

void Remains::add(std::span<const flowd_event> more) {
    for (const flowd_event& event : more) ++events[event.kind];
}

void Remains::add(const Remains& more) {
    for (std::size_t i = 0; i < events.size(); ++i) events[i] += more.events[i];
}

std::uint64_t Remains::total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : events) sum += count;
    return sum;
}

void QueueCore::wait_for(std::uint64_t mark) {
    const std::lock_guard lock(mutex);
    if (closed) return;
    const Wait wait{mark, pushed, missed ? walks + 1 : walking ? walks : 0, bus->catch_all.version()};
    if (waits.empty() && is_over(wait)) return;
    if (!waits.empty()) {
        const Wait& last = waits.back();
        if (last.place == wait.place && last.walk == wait.walk && last.catch_all == wait.catch_all) return;
    }
    waits.push_back(wait);
}

void QueueCore::walk_ended(Notices& notices) {
    const std::lock_guard lock(mutex);
    walking = false;
    for (Wait& wait : waits) {
        if (wait.walk > walks) break;
        if (std::exchange(wait.walk, 0) != 0) wait.place = pushed;
    }
    pass_marks(notices);
}

void QueueCore::pass_marks(Notices& notices) {
    while (!waits.empty() && is_over(waits.front())) {
        waits.pop_front();
        notices.marks = true;
    }
}

bool QueueCore::pop(Notices& notices) {
    const std::int64_t now = bus->clock.steady_ns();
    const std::lock_guard lock(mutex);
    progress_ns = now;
    behind = false;
    settled = pushed - used;
    catch_all_done = catch_all_version;
    pass_marks(notices);
    if (!head) {
        patient = true;
        armed = true;
        notices.announcers |= std::exchange(waiting, 0);
        return false;
    }
    current = std::move(head);
    head = std::move(current->next);
    if (!head) tail = nullptr;
    used -= current->count;
    bytes -= current->bytes;
    if (under_half()) {
        patient = true;
        notices.announcers |= std::exchange(waiting, 0);
    }
    return true;
}

std::span<const flowd_event> QueueCore::take_catch_all() {
    CatchAll::State state = bus->catch_all.state();
    catch_all_version = state.version;
    const bool present = state.event.kind == FLOWD_EVENT_CATCH_ALL;
    if (!takes(state.event.kind) || (!present && !catch_all_told)) return {};
    catch_all = state.event;
    catch_all_texts = std::move(state.texts);
    catch_all_texts.lend_to(catch_all);
    catch_all_told = present;
    return {&catch_all, 1};
}

void QueueCore::count_taken(std::span<const flowd_event> events) {
    if (!current) {  // the catch-all: it has not waited in the queue
        for (const flowd_event& event : events) delivered[event.kind].fetch_add(1, std::memory_order_relaxed);
        return;
    }
    const std::size_t first = static_cast<std::size_t>(events.data() - current->events.data());
    const std::int64_t now = bus->clock.steady_ns();
    std::array<std::uint64_t, event_kinds> kinds{};
    std::array<std::uint64_t, std::tuple_size_v<decltype(BackendCounters::latency)>> buckets{};
    std::uint64_t sum = 0;
    for (std::size_t i = first; i < first + events.size(); ++i) {
        ++kinds[current->events[i].kind];
        const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(now - current->queued_ns[i], 0)) / 1000;
        ++buckets[std::min<std::size_t>(std::bit_width(us), buckets.size() - 1)];
        sum += us;
    }
    for (std::size_t i = 0; i < kinds.size(); ++i)
        if (kinds[i]) delivered[i].fetch_add(kinds[i], std::memory_order_relaxed);
    for (std::size_t i = 0; i < buckets.size(); ++i)
        if (buckets[i]) latency[i].fetch_add(buckets[i], std::memory_order_relaxed);
    latency_sum_us.fetch_add(sum, std::memory_order_relaxed);
}

void Notices::wake(const std::shared_ptr<QueueCore>& queue) noexcept {
    try {
        queues.push_back(queue);
    } catch (const std::bad_alloc&) {
        queue->wake();  // with locks held, but it has been disarmed and must not sleep for ever
    }
}

void Notices::fire() {
    for (const auto& queue : queues) queue->wake();
    queues.clear();
    for_each_bit(std::exchange(announcers, 0), [this](unsigned slot) { bus.members.announcer(slot).tell_room(); });
    if (std::exchange(marks, false)) bus.collect_passed_marks(*this);
    for (const Passed& own : std::exchange(passed, {})) bus.members.announcer(own.slot).tell_marks(own.epoch, own.count);
}

BackendQueue::BackendQueue(std::shared_ptr<QueueCore> core) : core_(std::move(core)) {}

BackendQueue::~BackendQueue() {
    (void)core_->close();
}

std::span<const flowd_event> BackendQueue::take() {
    return core_->take();
}

void BackendQueue::settle(Fate fate, std::size_t count) {
    core_->settle(fate, count);
}

void BackendQueue::hold() {
    core_->hold();
}

Remains BackendQueue::close() {
    return core_->close();
}

std::size_t BackendQueue::depth() const {
    const std::lock_guard lock(core_->mutex);
    return core_->used;
}

const std::string& BackendQueue::name() const {
    return core_->name;
}

}  // namespace flowd::core
