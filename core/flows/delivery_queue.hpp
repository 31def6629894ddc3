// SPDX-License-Identifier: Apache-2.0
// core/flows/delivery_queue.hpp: the queue of one backend, in chunks of events that are ready to be delivered; the
// implementation of BackendQueue.
//
// Invariants:
// - The lock of the queue is the producers'. In the lock order, only the sender stripes come after it. No callback is
//   called while it is held. The consumer takes events without it: it has a lock of its own, for which only clear()
//   competes, and takes the producers' only if `attention_` is set.
// - Events are numbered. The consumer may read those below `published_`; a producer writes only those from `pushed_` on,
//   and does not reuse a chunk before the consumer has returned it.
// - After open() has returned `yes`, the queue is locked and has room for one push(), memory included.
// - The consumer sees what was pushed after the next tell(), which also wakes it. It is woken at most once until take() has
//   returned nothing.
// - Of two threads that each write one of `published_`, `armed_`, `missed_`, `attention_`, `taken_` and `settled_` and then
//   read another's, one sees what the other wrote: no wake and no notice of room or of a mark is lost. Hence these are
//   sequentially consistent.
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

    // Producers, any thread. After push(), push_due(), push_ongoing() and miss(), tell() must follow, without a lock.
    enum class Room : std::uint8_t { yes, no, behind };
    /// Called on every queue of an event that all or none must accept. no: on_room is called when there is room. behind:
    /// the queue was full and does not push back; it is resynchronised later.
    Room open(std::size_t bytes, std::uint32_t announcer, std::int64_t now);
    void push(const Outgoing& event, std::int64_t now) { append(event, 0, now); }
    void release() { mutex_.unlock(); }
    /// Queues an event that is due according to the flow table. Publishes it at once: take() itself calls this when it
    /// resynchronises. Returns false if there is no room.
    bool push_due(const Outgoing& event, std::uint32_t more_flags, std::int64_t now);
    /// Sheds the event if three quarters of the queue are in use.
    void push_ongoing(const Outgoing& event, std::int64_t now);
    void miss();
    /// There is something to take.
    void tell();
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
    static constexpr std::size_t per_chunk = BackendQueue::batch;
    /// Events are stored in the form in which the backend receives them, so that taking does not copy.
    struct Chunk {
        std::array<flowd_event, per_chunk> events;
        std::array<std::int64_t, per_chunk> queued_ns;
        std::array<FlowTexts, per_chunk> texts;
        std::array<std::shared_ptr<const Payload>, per_chunk> payloads;
        std::unique_ptr<Chunk> next;
    };

    /// The conditions for passing a mark, all of which must hold. A later mark with the same conditions has no entry of its
    /// own.
    struct Wait {
        std::uint64_t mark;
        std::uint64_t place;      ///< this many events must be settled
        std::uint64_t walk;       ///< 0, or the number of a walk that must end first; its end sets `place`
        std::uint64_t catch_all;  ///< this version of the catch-all must be settled
    };

    [[nodiscard]] bool takes(unsigned kind) const { return (accepts_ >> kind & 1) != 0; }
    /// Events in the queue, and bytes of their payloads.
    [[nodiscard]] std::size_t used() const {
        const std::uint64_t taken = taken_;  // first: it must not overtake the other
        return pushed_ - taken;
    }
    [[nodiscard]] std::size_t bytes() const { return bytes_pushed_ - bytes_taken_; }
    [[nodiscard]] bool has_room(std::size_t more_bytes) const {
        return used() < limits_.events && (bytes() == 0 || bytes() + more_bytes <= limits_.bytes);
    }
    [[nodiscard]] bool is_under_half() const { return used() * 2 <= limits_.events && bytes() * 2 <= limits_.bytes; }
    [[nodiscard]] bool is_stalled(std::int64_t now) const {
        return now - std::max<std::int64_t>(progress_ns_, filled_ns_) >= limits_.stall_after_ns;
    }
    [[nodiscard]] bool is_due(const Wait& wait) const {
        return wait.walk == 0 && done() >= wait.place && catch_all_done_ >= wait.catch_all;
    }
    [[nodiscard]] std::uint64_t done() const {
        return acknowledges_ ? std::min<std::uint64_t>(acknowledged_, settled_) : settled_.load();
    }
    /// Events were pushed that the consumer must not take before tell().
    [[nodiscard]] bool has_unpublished() const {
        const std::uint64_t published = published_;  // first: it must not overtake the other
        return published < pushed_;
    }
    void append(const Outgoing& event, std::uint32_t more_flags, std::int64_t now);
    [[nodiscard]] bool needs_chunk() const { return pushed_ % per_chunk == 0 && pushed_ != 0; }
    [[nodiscard]] std::unique_ptr<Chunk> free_chunk();
    void publish();
    void fall_behind();
    void tell_room(Notices& notices);
    void walks_are_over(std::uint64_t up_to, Notices& notices);
    void pass_marks(Notices& notices);

    std::span<const flowd_event> offer(std::span<const flowd_event> events) { return rest_ = events; }
    std::span<const flowd_event> take_catch_all();
    /// The next events; none: the wake is armed.
    std::span<const flowd_event> pop(Notices& notices);
    /// `published_`; if that is not more than was taken, the wake is armed.
    [[nodiscard]] std::uint64_t look(std::uint64_t taken);
    void look_after(Notices& notices);  ///< those that wait for what the consumer has done
    /// Advances `head_` to the chunk of the event of this number, which exists. Returns the former one if it is another.
    [[nodiscard]] std::unique_ptr<Chunk> next_chunk(std::uint64_t number);
    static void release(Chunk& chunk, std::size_t first, std::size_t count);
    void recycle(std::unique_ptr<Chunk> chunk);
    /// Drops events before `end`, of one chunk. False: there are none.
    bool drop_some(std::uint64_t end, Remains& remains);
    void note_high_water(std::uint64_t pushed);
    [[nodiscard]] bool is_catch_all(std::span<const flowd_event> events) const { return events.data() == &catch_all_; }
    void count_taken(std::span<const flowd_event> events);

    const std::string name_;
    const std::uint32_t accepts_;
    const unsigned slot_;
    const std::shared_ptr<Delivery> delivery_;

    // Written with this lock held; `pushed_` is read by any thread.
    mutable BusLock<Guards::queue> mutex_;
    QueueLimits limits_;
    Chunk* tail_;
    std::unique_ptr<Chunk> spare_;          ///< for the next push()
    std::atomic<std::uint64_t> pushed_{0};  ///< events pushed in total
    std::uint64_t bytes_pushed_ = 0;
    std::int64_t filled_ns_ = 0;  ///< when the queue was last empty and an event was pushed
    bool behind_ = false;         ///< full, accepts nothing and does not push back; resynchronised later
    bool patient_ = true;         ///< emit returns FULL if the queue is full; not after a stall or a FULL of the backend
    std::uint64_t waiting_ = 0;   ///< bits of the plugins whose emit returned FULL because of this queue
    BackendCounters counts_;      ///< all except the atomic ones below
    bool acknowledges_ = false;   ///< acknowledge() was called
    std::uint64_t acknowledged_ = 0;  ///< number of pushed_ events that the backend has settled, in order
    std::uint64_t walks_ = 0;         ///< walks through the flow table that were begun
    std::deque<Wait> waits_;

    // Written and read by any thread.
    alignas(64) std::atomic<std::uint64_t> published_{0};  ///< of `pushed_`, those that the consumer may take
    std::atomic<bool> armed_{true};       ///< the consumer has found the queue empty: the next event wakes it
    std::atomic<bool> attention_{false};  ///< the consumer has to look after `behind_`, `patient_`, `waiting_` or `waits_`
    std::array<std::atomic<Chunk*>, 4> returned_{};  ///< chunks for producers, from the consumer
    std::atomic<bool> attached_{true};
    std::atomic<bool> sealed_{false};
    std::atomic<bool> missed_{true};  ///< a record of the flow table has an event that is due
    std::mutex wake_mutex_;
    std::function<void()> wake_;

    // Written with this lock held, by the consumer or by clear(); the atomic ones are read by any thread.
    alignas(64) BusLock<Guards::queue> taking_;
    std::unique_ptr<Chunk> head_;  ///< the chunk of the event before `taken_`
    std::unique_ptr<Chunk> kept_;  ///< after clear(): that of the events that the consumer may still read
    bool dropped_ = false;         ///< clear() was called: nothing is taken any more
    std::size_t offered_ = 0;      ///< the last events before `taken_`, if their texts and payloads are still held
    std::atomic<std::uint64_t> taken_{0};
    std::atomic<std::uint64_t> bytes_taken_{0};
    std::atomic<std::uint64_t> high_water_{0};

    // Written by the consumer's thread only.
    std::atomic<std::uint64_t> settled_{0};         ///< of `taken_`, those that have a fate
    std::atomic<std::uint64_t> catch_all_done_{0};  ///< version of the catch-all that was settled
    std::atomic<std::int64_t> progress_ns_;         ///< when it last took
    bool in_sequence_ = false;                      ///< it took shortly after the time before
    const Chunk* current_ = nullptr;                ///< of `rest_`, unless that is the catch-all
    std::span<const flowd_event> rest_;             ///< returned by take() and without a fate so far
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
