// SPDX-License-Identifier: Apache-2.0
// core/flows/delivery_queue.hpp: the inside of a BackendQueue: chunks of ready-made events under a lock of their own.
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
#include "core/flows/flow_texts.hpp"
#include "core/flows/payload.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

/// An event with what keeps its texts and attachments alive.
struct Outgoing {
    flowd_event event{};
    FlowTexts texts;
    std::shared_ptr<const Payload> payload;

    [[nodiscard]] std::size_t bytes() const { return payload ? payload->bytes() : 0; }
};

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

struct Notices;

/// What a queue has to have done before a mark (Bus::mark) is passed. Marks that follow with the same conditions have no
/// entry of their own.
struct Wait {
    std::uint64_t mark;
    std::uint64_t place;      ///< so many events have been settled
    std::uint64_t walk;       ///< 0, or first this walk through the flow table has ended: that decides the place
    std::uint64_t catch_all;  ///< this version of it has been settled
};

struct QueueCore {
    QueueCore(BackendOptions options, unsigned slot_index, std::shared_ptr<BusState> owner, std::int64_t now);
    ~QueueCore();
    QueueCore(const QueueCore&) = delete;
    QueueCore& operator=(const QueueCore&) = delete;

    const std::string name;
    const std::uint32_t accepts;
    const unsigned slot;
    const std::shared_ptr<BusState> bus;

    [[nodiscard]] bool takes(unsigned kind) const { return (accepts >> kind & 1) != 0; }

    /// Everything from here to `spare` is guarded by it. Taken with a shard's lock held; never the other way round.
    mutable BusLock<Guards::queue> mutex;
    QueueLimits limits;
    void set(const QueueLimits& wanted);
    [[nodiscard]] bool has_room(std::size_t more_bytes) const {
        return used < limits.events && (bytes == 0 || bytes + more_bytes <= limits.bytes);
    }
    [[nodiscard]] bool over_three_quarters(std::size_t more_bytes) const {
        return used * 4 >= limits.events * 3 || (bytes + more_bytes) * 4 > limits.bytes * 3;
    }
    [[nodiscard]] bool under_half() const { return used * 2 <= limits.events && bytes * 2 <= limits.bytes; }
    [[nodiscard]] bool stalled(std::int64_t now) const { return now - progress_ns >= limits.stall_after_ns; }
    /// Makes room in memory, so that the next push() cannot fail.
    void reserve();
    /// True when the consumer has to be woken.
    bool push(const Outgoing& event, std::uint32_t more_flags, std::int64_t now);
    /// True when the consumer waits; it is then taken to have been woken.
    bool disarm() { return std::exchange(armed, false); }
    void fall_behind();

    std::unique_ptr<Chunk> head;
    Chunk* tail = nullptr;
    std::size_t used = 0;
    std::size_t bytes = 0;
    bool armed = true;          ///< the consumer has found nothing and wants to be woken
    bool behind = false;        ///< full and not taking: does not push back, is owed what it misses
    bool patient = true;        ///< a full queue makes emit answer FULL; not after a stall or a FULL of the backend itself
    std::uint64_t waiting = 0;  ///< announcers that were told FULL on account of this queue
    std::int64_t progress_ns;
    std::vector<std::unique_ptr<Chunk>> spare;
    BackendCounters counts;            ///< all but the atomic ones below
    std::uint64_t pushed = 0;          ///< events ever
    std::uint64_t settled = 0;         ///< of these, those that came out of take() and have a fate
    std::uint64_t walks = 0;           ///< through the flow table, begun
    std::uint64_t catch_all_done = 0;  ///< version that was settled
    std::deque<Wait> waits;            ///< in the order of the marks
    [[nodiscard]] bool is_over(const Wait& wait) const {
        return wait.walk == 0 && settled >= wait.place && catch_all_done >= wait.catch_all;
    }
    /// A mark was made: what is there now has to be settled before it is passed.
    void wait_for(std::uint64_t mark);
    void walk_ended(Notices& notices);
    void pass_marks(Notices& notices);

    // Any thread.
    std::atomic<bool> attached{true};
    std::atomic<bool> sealed{false};  ///< handed over: what is in it can still be taken, nothing comes any more
    std::atomic<bool> missed{true};   ///< some record of the flow table has something to tell

    // The consumer's own; the counters are read by others.
    std::unique_ptr<Chunk> current;
    std::span<const flowd_event> rest;  ///< answered by take() and without a fate
    bool held = false;
    bool closed = false;  ///< written with `mutex` held
    std::atomic<bool> walking{false};
    /// Where the walk is: a few records of each shard in turn (see BusState::for_each_record).
    struct Walk {
        std::uint32_t shard = 0;
        std::uint32_t first = 0;  ///< of those records
        std::uint32_t index = 0;
        bool more = false;  ///< some shard has further ones
    };
    Walk walk;
    std::uint64_t catch_all_version = 0;
    bool catch_all_told = false;
    flowd_event catch_all{};
    FlowTexts catch_all_texts;
    std::array<std::atomic<std::uint64_t>, event_kinds> delivered{};
    std::array<std::atomic<std::uint64_t>, std::tuple_size_v<decltype(BackendCounters::latency)>> latency{};
    std::atomic<std::uint64_t> latency_sum_us{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> failed{0};

    [[nodiscard]] BackendCounters counters() const;
    void wake();
    /// After it has returned, wake is not called any more.
    void detach();

    std::span<const flowd_event> take();
    void settle(Fate fate, std::size_t count);
    void hold();
    Remains close();
    Remains clear(Notices& notices);  ///< answers what it had

  private:
    std::span<const flowd_event> offer(std::span<const flowd_event> events) { return rest = events; }
    std::span<const flowd_event> take_catch_all();
    bool pop(Notices& notices);
    void count_taken(std::span<const flowd_event> events);

    std::mutex wake_mutex_;
    std::function<void()> wake_;
};

/// What has to be told to others once no lock is held.
struct Notices {
    explicit Notices(BusState& state) : bus(state) {}
    Notices(const Notices&) = delete;
    Notices& operator=(const Notices&) = delete;
    /// After an exception, too: a queue that was disarmed and not woken would sleep for ever.
    ~Notices() { fire(); }
    void wake(const std::shared_ptr<QueueCore>& queue) noexcept;
    void fire();

    /// Marks of one announcer that every backend has passed.
    struct Passed {
        std::uint32_t slot;
        std::uint32_t epoch;
        std::size_t count;
    };

    BusState& bus;
    std::vector<std::shared_ptr<QueueCore>> queues;
    std::uint64_t announcers = 0;
    bool marks = false;  ///< a queue has passed some
    std::vector<Passed> passed;
};

}  // namespace flowd::core
