// SPDX-License-Identifier: Apache-2.0
// core/flows/bus_state.hpp: the inside of the bus. Locks are taken in this order and never the other way round:
//   change of members -> registration -> marks -> one shard -> queues, ascending by slot -> sender stripes.
// The lock of the catch-all is never held together with another.
// Only the first lock may be held for a time that grows with the number of flows: code that walks the flow table uses
// for_each_record.
// Nothing foreign is called with one of them held: wakes, on_room and on_marks are collected in Notices and fired
// afterwards.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/flows/announcements.hpp"
#include "core/flows/bus.hpp"
#include "core/flows/bus_lock.hpp"
#include "core/flows/catch_all.hpp"
#include "core/flows/delivery_queue.hpp"
#include "core/flows/flow_key.hpp"
#include "core/flows/flow_store.hpp"
#include "core/flows/flow_texts.hpp"
#include "core/flows/intake.hpp"
#include "core/flows/kept_attachments.hpp"
#include "core/flows/membership.hpp"
#include "core/flows/usages.hpp"

namespace flowd::core {

inline constexpr std::uint32_t records_per_lock = 16;  ///< of a shard, looked at before its lock is given to others
inline constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max();

struct Now {
    std::int64_t steady = 0;
    std::int64_t system = 0;
};

/// A record that has ended, in the order of ending; void once the record has another id.
struct EndedFlow {
    std::uint32_t index;
    std::uint64_t id;
    std::int64_t due_ns;
};

struct alignas(64) Shard {
    mutable BusLock<Guards::shard> mutex;
    FlowStore store;
    TextPool texts;
    KeptAttachments kept;
    Announcements announcements;
    Usages usages;
    std::uint32_t active = 0;       ///< backend slots in use ...
    std::uint32_t takes_start = 0;  ///< ... and what they accept
    std::uint32_t takes_ongoing = 0;
    std::uint32_t takes_end = 0;
    /// A backend that was removed from this shard, as a bit, while some records still have its bits set ...
    std::uint32_t detaching = 0;
    std::uint32_t successor = 0;  ///< ... and the successor that is told the ends which it missed
    FlowLimits limits;
    std::deque<EndedFlow> tombstones;
    std::deque<EndedFlow> owed;              ///< past their tombstone, waiting for a backend
    std::int64_t next_expiry_ns = never_ns;  ///< no live flow expires earlier
    std::int64_t swept_ns = 0;
};

/// How many live flows each sender has, for flows.maxPerSource.
class SenderCounts {
  public:
    bool charge(std::uint64_t sender, std::uint64_t cap);
    void discharge(std::uint64_t sender);

  private:
    struct Stripe {
        BusLock<Guards::senders> mutex;
        std::unordered_map<std::uint64_t, std::uint64_t> live;
    };
    std::array<Stripe, 256> stripes_;  ///< so many that none becomes large: it grows under a shard's lock
};

/// What an announcer wants to be told of once every backend has passed it.
struct Mark {
    std::uint64_t number;
    std::uint32_t slot;
    std::uint32_t epoch;
};

/// Calls f(slot) for each bit of a mask.
template <typename Mask, typename Function>
void for_each_bit(Mask mask, Function&& f) {
    for (; mask != 0; mask &= mask - 1) f(static_cast<unsigned>(__builtin_ctzll(mask)));
}

/// The queues of one event, locked together: either all take it or none does.
class Gate {
  public:
    explicit Gate(BusState& bus) : bus_(bus) {}
    ~Gate();
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    /// False: a queue is full, and `announcer` will hear of its room. Queues that do not hold anybody back are left out
    /// when they are full, and those that are behind.
    bool open(std::uint32_t backends, std::size_t bytes, std::uint64_t announcer, std::int64_t now);
    /// Into all of them. Answers whose they are, and lets go.
    std::uint32_t push(const Outgoing& event, std::int64_t now, Notices& notices);

  private:
    void release();
    BusState& bus_;
    std::uint32_t held_ = 0;
};

static_assert(nobody >= Bus::max_announcers);

struct BusState : std::enable_shared_from_this<BusState> {
    static constexpr std::uint32_t shard_count = 32;
    static constexpr std::uint32_t all_shards = 0xffffffff;

    BusState(const FlowLimits& flow_limits, Clock time, std::unique_ptr<SocketProbe> socket_probe);

    [[nodiscard]] Now now() const { return {clock.steady_ns(), clock.system_ns()}; }
    [[nodiscard]] Shard& shard_of(std::uint64_t key_hash) { return shards[key_hash >> 59]; }
    /// f(shard, record) for each record in use of these shards (as bits), under the shard's lock. Goes on to the next
    /// shard after a few records, so that a thread that waits for a lock gets it.
    template <typename Function>
    void for_each_record(std::uint32_t of_shards, Notices& notices, Function&& f);

    // flow_table.cpp: events in. `flow_id`: see flowd_host.emit.
    flowd_result announce(AnnouncerId id, Incoming& in, Now now, Tally& tally, Notices& notices, std::uint64_t& flow_id);
    flowd_result begin(Shard& shard, std::uint32_t found, AnnouncerId id, const Incoming& in, Now now, Tally& tally,
                       Notices& notices, std::uint64_t& flow_id);
    flowd_result refresh(Shard& shard, Flow& flow, AnnouncerId id, const Incoming& in, Now now, Tally& tally,
                         Notices& notices);
    flowd_result end(Shard& shard, Flow& flow, AnnouncerId id, const Incoming& in, Now now, Tally& tally, Notices& notices);
    flowd_result end_unseen(Shard& shard, AnnouncerId id, const Incoming& in, Now now, Tally& tally, Notices& notices,
                            std::uint64_t& flow_id);
    [[nodiscard]] std::uint32_t highest_precedence(std::uint64_t of) const;  ///< announcers, as bits
    [[nodiscard]] bool may_end(const Shard& shard, const Flow& flow, AnnouncerId id, std::uint64_t sender) const;
    [[nodiscard]] bool is_start_of_ended(const Flow& ended, AnnouncerId id, const flowd_event& start, Now time) const;
    /// Against the caps; false: one is reached.
    bool charge(const Shard& shard, Flow& flow, AnnouncerId id, std::uint64_t sender, Tally& tally);
    void fill(Shard& shard, Flow& flow, AnnouncerId id, const Incoming& in, FlowTexts texts, Now now);
    static void set_end(Flow& flow, std::int64_t end_ns, Tally& tally);
    [[nodiscard]] flowd_string name_of(const Flow& flow) const;
    void limit_older(Shard& shard, const Flow& flow);

    // delivery.cpp: what backends are told, and the end of records. The shard's lock is held.
    [[nodiscard]] Outgoing outgoing(const Flow& flow, std::uint32_t kind, std::int64_t time_ns) const;
    /// Backends that have still to hear of the end of this ended flow.
    [[nodiscard]] static std::uint32_t owed_to(const Shard& shard, const Flow& flow) {
        return ~flow.ended & (shard.active | shard.detaching);
    }
    /// Those that know of the start, or do not want to.
    [[nodiscard]] static std::uint32_t started_for(const Shard& shard, const Flow& flow) {
        return flow.started | ~shard.takes_start;
    }
    [[nodiscard]] std::uint32_t lagging(const Shard& shard, const Flow& flow) const;  ///< owed something of an older flow
    [[nodiscard]] std::uint32_t up_to_date(const Shard& shard, const Flow& flow) const;
    /// Tells one backend all it does not know of this key; false when its queue has no room for that.
    bool bring_up(Shard& shard, Flow& flow, QueueCore& queue, std::uint32_t end_flags, Now now, Notices& notices);
    bool bring_up_one(Shard& shard, Flow& flow, QueueCore& queue, std::uint32_t end_flags, Now now, Notices& notices);
    bool tell(const Shard& shard, const Flow& flow, std::uint32_t kind, std::uint32_t flags, QueueCore& queue, Now now,
              Notices& notices);
    /// The same for several; those that had no room are marked and will be told by resync.
    void bring_up_all(Shard& shard, Flow& flow, std::uint32_t to, std::uint32_t end_flags, Now now, Notices& notices);
    void push_ongoing(Shard& shard, const Flow& flow, const Outgoing& event, std::int64_t now, Notices& notices);
    /// A live flow has ended; its tombstone has been laid before, since that needs memory.
    void close(Shard& shard, Flow& flow, std::uint32_t told, Now now);
    [[nodiscard]] static EndedFlow tombstone_of(const Shard& shard, const Flow& flow, Now now);
    void expire(Shard& shard, Flow& flow, Expiry reason, Now now, Notices& notices);
    void mark_ended(Shard& shard, Flow& flow, std::uint32_t to);
    void settle(Shard& shard, Flow& flow);  ///< removes the record when nobody needs it any more
    void drop(Shard& shard, Flow& flow);
    void give_up(Shard& shard, Flow& flow);
    bool reclaim(Shard& shard, std::uint32_t keep);
    [[nodiscard]] static std::int64_t expiry_of(const Shard& shard, const Flow& flow);

    void count_owed(const QueueCore& queue, Remains& remains);  ///< takes the shards' locks

    // delivery_marks.cpp
    flowd_result mark(AnnouncerId id, Notices& notices);
    void collect_passed_marks(Notices& notices);
    void drop_marks(std::uint32_t slot);
    void forget(const std::shared_ptr<QueueCore>& handed_over, Notices& notices);
    void forget_closed_queues();  ///< marks locked

    // flow_table_upkeep.cpp
    std::int64_t tick();
    void bury_all(std::int64_t now);
    bool bury(Shard& shard, std::int64_t now);  ///< some of them; true: there may be more
    void sweep(Now now);
    std::int64_t watch_stalls(std::int64_t now, Notices& notices);
    std::int64_t probe_sockets(Now now);              ///< answers when to look again
    void resync(QueueCore& queue, Notices& notices);  ///< as far as half of its queue; on the consumer's thread

    // samples.cpp
    void apply(std::span<const SamplePeriod::Entry> of_flow, Notices& notices);
    static std::uint32_t reporter(std::uint32_t slot, std::uint64_t sender);

    flowd_result set_catch_all(AnnouncerId id, const flowd_event& event, std::int64_t system_ns, Tally& tally,
                               Notices& notices);
    void wake_all(Notices& notices);
    Result<std::shared_ptr<QueueCore>> add_queue(BackendOptions options);  ///< in a free slot
    void detach(QueueCore& queue, Notices& notices);                       ///< the caller holds it: its slot is emptied
    /// From one moment on, for each flow, `to` is told and `from` no longer; what `from` was told it can still take.
    void hand_over(const std::shared_ptr<QueueCore>& from, const std::shared_ptr<QueueCore>& to, Notices& notices);
    static void attach_to(Shard& shard, const QueueCore& queue);
    static void detach_from(Shard& shard, std::uint32_t from, std::uint32_t successor);
    void detach_records(const QueueCore& from, Notices& notices);  ///< after detach_from()
    /// The backend that is detaching has nothing more to do with this record. False: the record is gone.
    bool detach_record(Shard& shard, Flow& flow);
    void detach_chain(Shard& shard, Flow& flow);  ///< likewise, with all older flows of its key; it may be gone

    [[nodiscard]] flowd_flow view(const Shard& shard, const Flow& flow) const;  ///< all but its texts

    const Clock clock;
    const std::uint32_t own_scope;
    const KeyHash hash;
    std::unique_ptr<SocketProbe> probe;
    std::int64_t probe_due_ns;  ///< of whoever calls tick()
    std::atomic<bool> upkeep_over{false};

    std::array<Shard, shard_count> shards;
    std::atomic<std::uint64_t> live{0};
    std::atomic<std::uint64_t> ended_kept{0};
    std::atomic<std::uint64_t> owed{0};
    SenderCounts senders;

    Membership members;
    CatchAll catch_all{members};

    BusLock<Guards::marks> marks_mutex;
    std::deque<Mark> marks;  ///< in the order in which they were made
    std::uint64_t last_mark = 0;
    std::vector<std::shared_ptr<QueueCore>> sealed;  ///< handed over, and perhaps not empty: they count as well

    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Expiry::count_)> expired{};
    std::atomic<std::uint64_t> tombstones_cut_short{0};
    std::atomic<std::uint64_t> samples{0};
    std::atomic<std::uint64_t> samples_unknown{0};
    std::atomic<std::uint64_t> samples_invalid{0};
    std::atomic<std::uint64_t> samples_shed{0};
    std::atomic<std::uint64_t> attachments_not_kept{0};
    std::atomic<std::uint64_t> periods{0};  ///< of samples
    std::atomic<std::uint32_t> visits{0};
    std::atomic<std::uint64_t> socket_dumps{0};
    std::atomic<std::uint64_t> socket_dumps_failed{0};
};

template <typename Function>
void BusState::for_each_record(std::uint32_t of_shards, Notices& notices, Function&& f) {
    for (std::uint32_t first = 0; of_shards != 0; first += records_per_lock)
        for_each_bit(of_shards, [&](unsigned number) {
            Shard& shard = shards[number];
            {
                const std::lock_guard lock(shard.mutex);
                const std::uint32_t stop = std::min(shard.store.end(), first + records_per_lock);
                for (std::uint32_t index = first; index < stop; ++index)
                    if (shard.store[index].state != FlowState::free) f(shard, shard.store[index]);
                if (first + records_per_lock >= shard.store.end()) of_shards &= ~(1u << number);
            }
            notices.fire();
        });
}

}  // namespace flowd::core
