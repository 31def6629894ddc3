// SPDX-License-Identifier: Apache-2.0
// core/flows/delivery_queue.hpp: the queue of one backend, in chunks of events that are ready to be delivered; the
// implementation of BackendQueue.
//
// Invariants:
// - What producers and the consumer share is guarded by the lock of the queue. In the lock order, only the sender
//   stripes come after it. No callback is called while it is held.
// - After open() has returned `yes`, the queue is locked and has room for one push(), memory included.
// - The consumer is woken at most once until take() has returned nothing.
// - Events are taken in the order in which they were pushed. A queue that is behind accepts none until the consumer takes.
// - An event that the queue did not accept remains due in the flow table, and `missed_` is set: the next take() walks
//   through the table.
// - Waits are in the order of their marks. A later mark has a later position.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/flows/backend_queue.hpp"
#include "core/flows/bus.hpp"
#include "core/flows/bus_lock.hpp"
#include "core/flows/counters.hpp"
#include "core/flows/flow_table.hpp"
#include "core/flows/payload.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

class Delivery;
class Notices;

class DeliveryQueue {
  public:
    DeliveryQueue(BackendOptions options, unsigned slot, std::shared_ptr<Delivery> delivery, std::int64_t now);
    ~DeliveryQueue();
    DeliveryQueue(const DeliveryQueue&) = delete;
    DeliveryQueue& operator=(const DeliveryQueue&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] unsigned slot() const { return slot_; }
    [[nodiscard]] std::uint32_t accepts() const { return accepts_; }
    [[nodiscard]] std::size_t depth() const;
    [[nodiscard]] BackendCounters counters() const;

    // Producers, any thread. If the result is true or `wake`, the caller must wake the consumer.
    enum class Room : std::uint8_t { yes, no, behind };
    /// Called on every queue of an event that all or none must accept. no: on_room is called when there is room. behind:
    /// the queue was full and does not push back; it is resynchronised later.
    Room open(std::size_t bytes, std::uint32_t announcer, std::int64_t now);
    bool push(const Outgoing& event, std::int64_t now);
    void release() { mutex_.unlock(); }
    enum class Pushed : std::uint8_t { no, yes, wake };
    /// An event that is due according to the flow table.
    Pushed push_due(const Outgoing& event, std::uint32_t more_flags, std::int64_t now);
    /// Sheds the event if three quarters of the queue are in use.
    bool push_ongoing(const Outgoing& event, std::int64_t now);
    bool miss();
    bool must_be_woken();
    void wake();
    void set_limits(const QueueLimits& limits, Notices& notices);
    /// Releases plugins that wait for a stalled consumer. Returns the steady time of the next call.
    std::int64_t watch_stall(std::int64_t now, Notices& notices);

    // Membership. After detach() has returned, wake is not called.
    void detach();
    /// After a replacement: queued events can still be taken, new ones are not accepted.
    void seal();
    void pass_walks(Notices& notices);  ///< for a sealed queue, whose successor does the walks
    /// Drops the queued events and returns their number by kind.
    Remains clear(Notices& notices);
    [[nodiscard]] bool is_attached() const { return attached_; }

    // Marks.
    /// This mark is passed once all that is queued or due at present is settled.
    void wait_for(std::uint64_t mark);
    [[nodiscard]] std::uint64_t first_wait() const;  ///< the mark of the first wait; the highest number if there is none
    [[nodiscard]] bool is_over() const;              ///< for a sealed queue: every event has a fate
    /// The backend takes events before their fate is known: from now on marks wait for this number, not for what was taken.
    void acknowledge(std::uint64_t settled);

    // The consumer's thread.
    std::span<const flowd_event> take();
    void settle(Fate fate, std::size_t count);
    void hold();
    Remains close();
    /// The walk that resynchronises this backend; null: it has missed nothing, or the queue is more than half full.
    FlowTable::Walk* walk();
    void walk_ended(Notices& notices);
    /// Resynchronisation uses at most half of a queue; the other half is for new events.
    [[nodiscard]] bool has_half() const;

  private:
    /// Events are stored in the form in which the backend receives them, so that taking does not copy.
    struct Chunk {
        std::array<flowd_event, BackendQueue::batch> events;
        std::array<std::int64_t, BackendQueue::batch> queued_ns;
        std::array<FlowTexts, BackendQueue::batch> texts;
        std::array<std::shared_ptr<const Payload>, BackendQueue::batch> payloads;
        std::size_t count = 0;
        std::size_t bytes = 0;
        std::unique_ptr<Chunk> next;

        void clear();
    };
    static void drop(std::unique_ptr<Chunk> list);

    /// The conditions for passing a mark, all of which must hold. A later mark with the same conditions has no entry of its
    /// own.
    struct Wait {
        std::uint64_t mark;
        std::uint64_t place;      ///< this many events must be settled
        std::uint64_t walk;       ///< 0, or the number of a walk that must end first; its end sets `place`
        std::uint64_t catch_all;  ///< this version of the catch-all must be settled
    };

    [[nodiscard]] bool takes(unsigned kind) const { return (accepts_ >> kind & 1) != 0; }
    [[nodiscard]] bool has_room(std::size_t more_bytes) const {
        return used_ < limits_.events && (bytes_ == 0 || bytes_ + more_bytes <= limits_.bytes);
    }
    [[nodiscard]] bool is_under_half() const { return used_ * 2 <= limits_.events && bytes_ * 2 <= limits_.bytes; }
    [[nodiscard]] bool is_stalled(std::int64_t now) const { return now - progress_ns_ >= limits_.stall_after_ns; }
    [[nodiscard]] bool is_due(const Wait& wait) const {
        return wait.walk == 0 && done() >= wait.place && catch_all_done_ >= wait.catch_all;
    }
    [[nodiscard]] std::uint64_t done() const { return acknowledges_ ? std::min(acknowledged_, settled_) : settled_; }
    void append(const Outgoing& event, std::uint32_t more_flags, std::int64_t now);
    bool disarm() { return std::exchange(armed_, false); }
    void fall_behind();
    void tell_room(Notices& notices);
    void walks_are_over(std::uint64_t up_to, Notices& notices);
    void pass_marks(Notices& notices);

    std::span<const flowd_event> offer(std::span<const flowd_event> events) { return rest_ = events; }
    std::span<const flowd_event> take_catch_all();
    bool pop(Notices& notices);
    void count_taken(std::span<const flowd_event> events);

    const std::string name_;
    const std::uint32_t accepts_;
    const unsigned slot_;
    const std::shared_ptr<Delivery> delivery_;

    mutable BusLock<Guards::queue> mutex_;  ///< guards everything from here to `waits_`
    QueueLimits limits_;
    std::unique_ptr<Chunk> head_;
    Chunk* tail_ = nullptr;
    std::vector<std::unique_ptr<Chunk>> spare_;
    std::size_t used_ = 0;
    std::size_t bytes_ = 0;
    bool armed_ = true;          ///< the consumer has found the queue empty: the next event wakes it
    bool behind_ = false;        ///< full, accepts nothing and does not push back; resynchronised later
    bool patient_ = true;        ///< emit returns FULL if the queue is full; not after a stall or a FULL of the backend
    std::uint64_t waiting_ = 0;  ///< bits of the plugins whose emit returned FULL because of this queue
    std::int64_t progress_ns_;
    BackendCounters counts_;            ///< all except the atomic ones below
    std::uint64_t pushed_ = 0;          ///< events pushed in total
    std::uint64_t settled_ = 0;         ///< of these, the events that were taken and have a fate
    bool acknowledges_ = false;         ///< acknowledge() was called
    std::uint64_t acknowledged_ = 0;    ///< number of pushed_ events that the backend has settled, in order
    std::uint64_t walks_ = 0;           ///< walks through the flow table that were begun
    std::uint64_t catch_all_done_ = 0;  ///< version of the catch-all that was settled
    std::deque<Wait> waits_;

    // Any thread.
    std::atomic<bool> attached_{true};
    std::atomic<bool> sealed_{false};
    std::atomic<bool> missed_{true};  ///< a record of the flow table has an event that is due
    std::mutex wake_mutex_;
    std::function<void()> wake_;

    // Used by the consumer's thread only; the counters are read by any thread.
    std::unique_ptr<Chunk> current_;
    std::span<const flowd_event> rest_;  ///< returned by take() and without a fate so far
    bool held_ = false;
    bool closed_ = false;  ///< written with the lock held
    std::atomic<bool> walking_{false};
    FlowTable::Walk walk_;
    std::uint64_t catch_all_version_ = 0;
    bool catch_all_told_ = false;
    flowd_event catch_all_{};
    FlowTexts catch_all_texts_;
    std::array<std::atomic<std::uint64_t>, event_kinds> delivered_{};
    std::array<std::atomic<std::uint64_t>, std::tuple_size_v<decltype(BackendCounters::latency)>> latency_{};
    std::atomic<std::uint64_t> latency_sum_us_{0};
    std::atomic<std::uint64_t> refused_{0};
    std::atomic<std::uint64_t> failed_{0};
};

}  // namespace flowd::core
