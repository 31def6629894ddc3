// SPDX-License-Identifier: Apache-2.0
// core/flows/delivery_queue.hpp: what waits for one backend, in chunks of ready-made events; the inside of a
// BackendQueue.
//
// Invariants:
// - What producers and the consumer share is guarded by the lock of the queue, which is the last in the order but for
//   the sender stripes. Nothing is called with it held.
// - After open() has answered `yes` the queue is locked and has room, in memory as well, for one push().
// - The consumer is woken at most once until take() has answered "nothing".
// - Events come out in the order in which they were pushed. A queue that is behind takes none until the consumer takes.
// - Whatever the queue did not take is due in the flow table, and `missed` is set: the next take() walks through the
//   table.
// - Waits are in the order of their marks. A later mark has a later place.
#pragma once

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

    // Producers, any thread. An answer of true, or `wake`: the consumer has to be woken.
    enum class Room : std::uint8_t { yes, no, behind };
    /// Asked of every queue of an event that all of them must take or none. no: the announcer will hear of room. A full
    /// queue that does not hold anybody back is behind.
    Room open(std::size_t bytes, std::uint32_t announcer, std::int64_t now);
    bool push(const Outgoing& event, std::int64_t now);
    void release() { mutex_.unlock(); }
    enum class Pushed : std::uint8_t { no, yes, wake };
    /// What the flow table knows to be due.
    Pushed push_due(const Outgoing& event, std::uint32_t more_flags, std::int64_t now);
    /// Sheds it when three quarters are full.
    bool push_ongoing(const Outgoing& event, std::int64_t now);
    bool miss();
    bool must_be_woken();
    void wake();
    void set_limits(const QueueLimits& limits, Notices& notices);
    /// Announcers that wait for a consumer that takes nothing are released. Answers when to look again.
    std::int64_t watch_stall(std::int64_t now, Notices& notices);

    // Members. After detach() has returned, wake is not called any more.
    void detach();
    /// Handed over: what is in it can still be taken, nothing comes any more.
    void seal();
    void pass_walks(Notices& notices);  ///< of a sealed queue: its successor makes them
    /// Drops what it has, and answers that.
    Remains clear(Notices& notices);
    [[nodiscard]] bool is_attached() const { return attached_; }

    // Marks.
    /// What is there now has to be settled before this mark is passed.
    void wait_for(std::uint64_t mark);
    [[nodiscard]] std::uint64_t first_wait() const;  ///< the highest number when there is none
    [[nodiscard]] bool is_over() const;              ///< sealed, and everything has a fate

    // The consumer's thread.
    std::span<const flowd_event> take();
    void settle(Fate fate, std::size_t count);
    void hold();
    Remains close();
    /// The walk that tells this backend what it has missed; null: nothing is missed, or the queue is more than half full.
    FlowTable::Walk* walk();
    void walk_ended(Notices& notices);
    /// Catching up takes half of a queue; the other half is for what happens now.
    [[nodiscard]] bool has_half() const;

  private:
    /// Events lie in it the way a backend is handed them, so that taking is no copying.
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

    /// What the queue has to have done before a mark is passed. Marks that follow with the same conditions have no entry of
    /// their own.
    struct Wait {
        std::uint64_t mark;
        std::uint64_t place;      ///< so many events have been settled
        std::uint64_t walk;       ///< 0, or first this walk through the flow table has ended: that decides the place
        std::uint64_t catch_all;  ///< this version of it has been settled
    };

    [[nodiscard]] bool takes(unsigned kind) const { return (accepts_ >> kind & 1) != 0; }
    [[nodiscard]] bool has_room(std::size_t more_bytes) const {
        return used_ < limits_.events && (bytes_ == 0 || bytes_ + more_bytes <= limits_.bytes);
    }
    [[nodiscard]] bool is_under_half() const { return used_ * 2 <= limits_.events && bytes_ * 2 <= limits_.bytes; }
    [[nodiscard]] bool is_stalled(std::int64_t now) const { return now - progress_ns_ >= limits_.stall_after_ns; }
    [[nodiscard]] bool is_due(const Wait& wait) const {
        return wait.walk == 0 && settled_ >= wait.place && catch_all_done_ >= wait.catch_all;
    }
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
    bool armed_ = true;          ///< the consumer has found nothing and wants to be woken
    bool behind_ = false;        ///< full and not taking: does not push back, is owed what it misses
    bool patient_ = true;        ///< a full queue makes emit answer FULL; not after a stall or a FULL of the backend itself
    std::uint64_t waiting_ = 0;  ///< announcers that were told FULL on account of this queue
    std::int64_t progress_ns_;
    BackendCounters counts_;            ///< all but the atomic ones below
    std::uint64_t pushed_ = 0;          ///< events ever
    std::uint64_t settled_ = 0;         ///< of these, those that came out of take() and have a fate
    std::uint64_t walks_ = 0;           ///< through the flow table, begun
    std::uint64_t catch_all_done_ = 0;  ///< version that was settled
    std::deque<Wait> waits_;

    // Any thread.
    std::atomic<bool> attached_{true};
    std::atomic<bool> sealed_{false};
    std::atomic<bool> missed_{true};  ///< some record of the flow table has something to tell
    std::mutex wake_mutex_;
    std::function<void()> wake_;

    // The consumer's own; the counters are read by others.
    std::unique_ptr<Chunk> current_;
    std::span<const flowd_event> rest_;  ///< answered by take() and without a fate
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
