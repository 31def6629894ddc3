// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_table.hpp: the flow table: the effect of events, samples and time on flows, and which backends have to
// be sent an event because of it. It knows recipients (backends) as bits, and no queues: delivery.hpp delivers its
// changes.
//
// Invariants:
// - A record is in one of 32 shards, selected by the hash of its key. A shard's lock guards everything in it; while it is
//   held, the table takes no other lock except that of a sender stripe, of RecordPages or of the history.
// - A key has at most one live record. Ended ones of the same key that a recipient has not received follow it
//   (`older`), newest first; only the newest record of a key is in the index.
// - An announcement is decided and then applied under one lock. decide() does not change the flow. apply() allocates
//   first and changes afterwards: if it throws or refuses, the event can be offered again.
// - The record of an ended flow is removed as soon as all recipients have its end. A tombstone takes its place, unless a
//   later flow has its key. It remains for FlowLimits::tombstone_ns after the end: longer if one that was made before is
//   not over yet, shorter if there are too many.
// - A walk through the table releases the lock of a shard after records_per_lock records.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>

#include "core/flows/announcements.hpp"
#include "core/flows/bus.hpp"
#include "core/flows/bus_lock.hpp"
#include "core/flows/flow_history.hpp"
#include "core/flows/flow_key.hpp"
#include "core/flows/flow_store.hpp"
#include "core/flows/flow_texts.hpp"
#include "core/flows/intake.hpp"
#include "core/flows/kept_attachments.hpp"
#include "core/flows/membership.hpp"
#include "core/flows/owed_ids.hpp"
#include "core/flows/own_addresses.hpp"
#include "core/flows/payload.hpp"
#include "core/flows/recipients.hpp"
#include "core/flows/usages.hpp"

namespace flowd::core {

inline constexpr std::uint32_t records_per_lock = 16;  ///< of a shard that are examined before its lock is released
inline constexpr std::size_t max_earlier = 64;         ///< ended flows of one key that a recipient may lack
inline constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max();

/// Ids of the earlier flows of a key, the oldest first. Without an allocation, because it is made during upkeep.
class EarlierIds {
  public:
    void add_older(std::uint64_t id) { ids_[--first_] = id; }
    [[nodiscard]] bool is_full() const { return first_ == 0; }
    [[nodiscard]] auto begin() const { return ids_.begin() + static_cast<std::ptrdiff_t>(first_); }
    [[nodiscard]] auto end() const { return ids_.end(); }

  private:
    std::array<std::uint64_t, max_earlier + 1> ids_{};
    std::size_t first_ = max_earlier + 1;
};

struct Now {
    std::int64_t steady = 0;
    std::int64_t system = 0;
};

/// Calls f(slot) for each bit of a mask.
template <typename Mask, typename Function>
void for_each_bit(Mask mask, Function&& f) {
    for (; mask != 0; mask &= mask - 1) f(static_cast<unsigned>(__builtin_ctzll(mask)));
}

/// One event of a plugin. The table reverses an event of the opposite direction.
struct Offer {
    AnnouncerId id;
    Now now;
    Tally& tally;
    Incoming* in = nullptr;
};

/// The effect of an announcement, as decided by the table.
struct Change {
    enum class Step : std::uint8_t { none, begin, refresh, leave, end, end_unseen };
    Step step = Step::none;
    bool retag = false;
    bool gives_tag = false;
    bool forward = false;                   ///< a refresh that is passed on unchanged
    std::uint32_t found = FlowStore::none;  ///< the place of the newest record of the key, or of its tombstone
    std::uint32_t behind = 0;               ///< recipients that must receive earlier events first
    std::uint64_t flow_id = 0;              ///< of the flow that it concerns; a new one after apply()
    /// Recipients that accept the event; `to`: those of them that have received everything before it. With `must` all of
    /// these must have room; otherwise it is delivered to those that have.
    std::uint32_t wanting = 0;
    std::uint32_t to = 0;
    bool must = false;
    std::size_t bytes = 0;  ///< of the attachments, if `must` is set
    /// Those of `to` that have room: set between decide() and apply().
    std::uint32_t told = 0;
};

/// The number of live flows of each sender, for flows.maxPerSource.
class SenderCounts {
  public:
    bool charge(std::uint64_t sender, std::uint64_t cap);
    void discharge(std::uint64_t sender);

  private:
    struct Stripe {
        BusLock<Guards::senders> mutex;
        std::unordered_map<std::uint64_t, std::uint64_t> live;
    };
    std::array<Stripe, 256> stripes_;  ///< many, so that none becomes large: it grows under a shard's lock
};

class FlowTable {
  public:
    static constexpr std::uint32_t shard_count = 32;
    static constexpr std::uint32_t all_shards = 0xffffffff;

    /// A part of the table with its own lock. Only the table accesses its contents.
    class alignas(64) Shard {
      public:
        void lock() const { mutex_.lock(); }
        [[nodiscard]] bool try_lock() const { return mutex_.try_lock(); }
        void unlock() const { mutex_.unlock(); }

      private:
        friend class FlowTable;
        mutable BusLock<Guards::shard> mutex_;
        FlowStore store_;
        TextPool texts_;
        KeptAttachments kept_;
        Announcements announcements_;
        Usages usages_;
        Recipients recipients_;
        MinuteSums sums_;  ///< since they were last collected
        std::shared_ptr<const OwnAddresses> own_ = std::make_shared<const OwnAddresses>();
        FlowLimits limits_;
        OwedIds owed_;                            ///< some of a live flow, because end() ran out of memory
        std::int64_t next_expiry_ns_ = never_ns;  ///< no live flow expires earlier
        std::int64_t swept_ns_ = 0;
    };

    /// Receives the changes that the table makes by itself.
    class Listener {
      public:
        virtual ~Listener() = default;
        /// A flow has expired; `to` are the recipients of its end. The shard is locked.
        virtual void ended(Shard& shard, const Flow& flow, std::uint32_t to, Now now) = 0;
        /// Called between two locks of a walk: nothing is locked.
        virtual void released() = 0;
    };

    /// The position of a walk: a few records of each shard in turn.
    struct Walk {
        std::uint32_t shards = all_shards;  ///< shards that have further records, as bits
        std::uint32_t shard = 0;
        std::uint32_t first = 0;  ///< of the records in turn
        std::uint32_t index = 0;
    };

    FlowTable(const FlowLimits& limits, Clock clock, std::unique_ptr<SocketProbe> probe, Membership& members,
              FlowHistory& history);

    [[nodiscard]] Now now() const { return {clock_.steady_ns(), clock_.system_ns()}; }
    void set_limits(const FlowLimits& limits);
    [[nodiscard]] FlowLimits limits() const;

    // Events. take_in() without a lock and a few events ahead, because it prefetches the index entry; the others with the
    // shard locked.
    std::optional<Refusal> take_in(const void* event, std::size_t stride, Incoming& in) const;
    /// Prefetches the record of an event that is applied soon, some time after take_in().
    void expect_record(const Incoming& in) const;
    [[nodiscard]] Shard& shard_of(const Incoming& in) { return shards_[in.key_hash >> 59]; }
    [[nodiscard]] Shard& shard_of(std::uint64_t flow_id) { return shards_[FlowStore::shard_of(flow_id)]; }
    [[nodiscard]] Change decide(Shard& shard, const Offer& offer);
    /// Fills `event` if a recipient has to be sent it. FLOWD_LIMIT: a limit was reached.
    flowd_result apply(Shard& shard, const Offer& offer, Change& change, Outgoing& event);
    /// The samples of one flow. Returns the recipients that are sent `event` if they have room.
    std::uint32_t sample(Shard& shard, std::span<const SamplePeriod::Entry* const> of_flow, Now now, Listener& listener,
                         Outgoing& event);
    void count_shed_samples(const SamplePeriod& period);

    // Recipients.
    void add_recipient(unsigned slot, std::uint32_t accepts);
    /// It is sent nothing any more.
    void retire_recipient(unsigned slot);
    /// The same; the ends that it missed are sent to its successor, which is added at the same time.
    void replace_recipient(unsigned slot, unsigned successor, std::uint32_t accepts);
    /// A walk, after which the slot of the retired one is free.
    void forget_recipient(Listener& listener);
    /// Starts and ends that it has not received, by kind.
    [[nodiscard]] std::array<std::uint64_t, event_kinds> owed_to(unsigned slot);
    [[nodiscard]] std::uint64_t given_up(unsigned slot) const { return given_up_[slot]; }

    // Events that a recipient has not received yet. The shard is locked.
    [[nodiscard]] static const Flow* by_id(Shard& shard, std::uint64_t id) { return shard.store_.by_id(id); }
    /// Earlier flows of its key that some recipient has not received completely, oldest first.
    [[nodiscard]] static EarlierIds earlier(const Shard& shard, const Flow& flow);
    [[nodiscard]] static std::uint32_t due(const Shard& shard, const Flow& flow, std::uint32_t bit) {
        return shard.recipients_.due(flow, bit);
    }
    /// An event of a kind that is due, with all kept attachments of the flow.
    [[nodiscard]] Outgoing event_due(const Shard& shard, const Flow& flow, std::uint32_t kind, Now now) const;
    /// Records that it was sent. The record may be removed by this.
    void told(Shard& shard, const Flow& flow, std::uint32_t bit, std::uint32_t kind, Now now);
    /// Continues a walk, under one lock: f(shard, flow) for flows of which an event is due to this recipient.
    /// False: f has returned false, and the walk stays at that flow.
    template <typename Function>
    bool walk_due(Walk& walk, std::uint32_t bit, Function&& f);

    // Members and time.
    void remove_announcer(std::uint32_t slot, Now now, Listener& listener);
    /// Expiry, tombstones, sock_diag. Returns the time of the next call.
    std::int64_t tick(Now now, Listener& listener);
    void end_upkeep();
    [[nodiscard]] bool upkeep_is_over() const { return upkeep_over_; }

    /// Adds the sums of the shards to the current minute.
    void collect_sums(Now now);
    /// The packets that backends mark at present, FLOWD_MARKS_*.
    void set_marks(std::uint32_t marks) { marks_.store(marks, std::memory_order_relaxed); }

    // Live flows.
    void visit(const Bus::FlowVisitor& visitor, std::size_t most) const;
    flowd_result page(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                      const std::function<bool(const flowd_flow&)>& visitor) const;
    bool find(const flowd_key& key, const std::function<void(const flowd_flow&)>& visitor) const;
    bool examine(const flowd_key& key,
                 const std::function<void(const flowd_flow&, std::span<const FlowAnnouncer>)>& visitor) const;
    [[nodiscard]] std::uint64_t live() const { return live_.load(std::memory_order_relaxed); }
    void count(BusCounters& out) const;

  private:
    // flow_table.cpp
    /// The change may be made only if all recipients that accept this kind, and are not `behind`, have room for it.
    static void require(const Shard& shard, const Offer& offer, std::uint32_t kind, std::uint32_t kept, Change& change);
    void decide_begin(Shard& shard, const Offer& offer, Change& change);
    void decide_refresh(Shard& shard, const Offer& offer, Change& change);
    void decide_end(Shard& shard, const Offer& offer, Change& change);
    flowd_result begin(Shard& shard, const Offer& offer, Change& change, Outgoing& event);
    void refresh(Shard& shard, const Offer& offer, Change& change, Outgoing& event);
    void leave(Shard& shard, const Offer& offer, const Change& change);
    void end(Shard& shard, const Offer& offer, const Change& change, Outgoing& event);
    void end_unseen(Shard& shard, const Offer& offer, Change& change, Outgoing& event);
    [[nodiscard]] bool may_end(const Shard& shard, const Flow& flow, AnnouncerId id, std::uint64_t sender) const;
    [[nodiscard]] std::uint32_t highest_precedence(std::uint64_t of_announcers) const;
    [[nodiscard]] bool is_start_of_ended(const FlowEnd& ended, const Offer& offer) const;
    /// Charges the limits; false: one is reached.
    bool charge(const Shard& shard, Flow& flow, const Offer& offer);
    void fill(Shard& shard, Flow& flow, const Offer& offer, FlowTexts texts);
    static void set_end(Flow& flow, std::int64_t end_ns, Tally& tally);
    static std::uint32_t reporter(std::uint32_t slot, std::uint64_t sender);
    void describe(Outgoing& out, const Flow& flow, std::uint32_t kind, std::int64_t time_ns) const;
    [[nodiscard]] std::uint32_t flags_of(const Flow& flow) const;  ///< with FLOWD_MARKED
    void record(FlowRecord& out, const Shard& shard, const Flow& flow) const;
    /// Adds an event of a flow to the stream, FLOWD_OBSERVED_*; and an ended flow to the history.
    void observe(const Shard& shard, const Flow& flow, std::uint32_t kind, std::int64_t time_ns, flowd_tag former_tag = {});
    /// Usages::take, with what has moved added to the sums.
    bool take_usage(Shard& shard, Flow& flow, const flowd_usage& usage, std::uint32_t reporter);
    [[nodiscard]] flowd_flow view(const Shard& shard, const Flow& flow) const;  ///< without its texts
    /// Recipients that have not received all of an earlier flow of this key, ...
    [[nodiscard]] static std::uint32_t lagging(const Shard& shard, const Flow& flow);
    /// ... or of this flow.
    [[nodiscard]] static std::uint32_t behind(const Shard& shard, const Flow& flow);

    // flow_table_upkeep.cpp
    void expire(Shard& shard, Flow& flow, Expiry reason, Now now, Listener& listener);
    void close(Shard& shard, Flow& flow, std::uint32_t told, Now now);  ///< after it was added to Shard::owed_
    /// Removes the record if every recipient has the flow's end. May also remove the two oldest tombstones: the place of a
    /// tombstone is not valid after it.
    void settle(Shard& shard, Flow& flow, std::int64_t now_ns);
    /// The same, after a recipient of the end has received it or is leaving.
    void settle_owed(Shard& shard, Flow& flow, Now now);
    void drop(Shard& shard, Flow& flow);  ///< without a tombstone
    void release(Shard& shard, Flow& flow);
    void give_up(Shard& shard, Flow& flow);
    /// If the table is full, removes an ended flow for a new one, whose key has the place `keep`; never the one there.
    void reclaim(Shard& shard, std::uint32_t keep, Now now);
    /// The ended flow whose end has been pending for longest. Looks at `left` ids at most, for which the lock is held.
    static Flow* oldest_owed(Shard& shard, std::uint32_t& left);
    static Flow* ended_of(Shard& shard, std::uint64_t id);  ///< null: it is gone, or live
    void limit_earlier(Shard& shard, const Flow& flow);
    void leave_record(Shard& shard, Flow& flow, Now now);  ///< see Recipients::leave; may remove the record
    /// The same for all earlier flows of its key, and for them first: the last one to be removed leaves the tombstone.
    void leave_key(Shard& shard, Flow& flow, Now now);
    void bury_all(std::int64_t now);
    bool bury(Shard& shard, std::int64_t now);  ///< removes some tombstones; true: there may be more
    bool bury_oldest(Shard& shard);             ///< false: another flow has its key
    bool cut_short_oldest(Shard& shard);        ///< the same before its time
    [[nodiscard]] static bool is_over(const Shard& shard, std::int64_t ended_ns, std::int64_t now_ns) {
        return now_ns - ended_ns >= shard.limits_.tombstone_ns;
    }
    /// The oldest tombstone; there must be one.
    [[nodiscard]] static const Tombstone& oldest(const Shard& shard) {
        return shard.store_.tombstone_at(shard.store_.tombstone(0));
    }
    void sweep(Now now, Listener& listener);
    bool read_own_addresses();
    std::int64_t probe_sockets(Now now, Listener& listener);  ///< returns the time of the next dump
    static void expire_no_later_than(Shard& shard, const Flow& flow);
    /// f(shard, flow) -> bool; see walk_due().
    template <typename Function>
    bool walk_on(Walk& walk, Function&& f);
    /// f(shard, flow) for each record in use of these shards (as bits).
    template <typename Function>
    void for_each_record(std::uint32_t of_shards, Listener& listener, Function&& f);

    const Clock clock_;
    const std::uint32_t own_scope_;
    const KeyHash hash_;
    Membership& members_;
    FlowHistory& history_;
    const std::int64_t born_ns_;  ///< Unix time
    std::atomic<std::uint32_t> marks_{0};
    const std::unique_ptr<SocketProbe> probe_;
    std::int64_t probe_due_ns_;  ///< used only by the thread that calls tick()
    std::atomic<bool> upkeep_over_{false};

    RecordPages record_pages_;
    std::array<Shard, shard_count> shards_;
    std::atomic<std::uint64_t> live_{0};
    std::atomic<std::uint64_t> ended_kept_{0};
    std::atomic<std::uint64_t> owed_{0};
    SenderCounts senders_;

    std::array<std::atomic<std::uint64_t>, Bus::max_backends> given_up_{};
    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Expiry::count_)> expired_{};
    std::atomic<std::uint64_t> tombstones_cut_short_{0};
    std::atomic<std::uint64_t> samples_{0};
    std::atomic<std::uint64_t> samples_unknown_{0};
    std::atomic<std::uint64_t> samples_invalid_{0};
    std::atomic<std::uint64_t> samples_shed_{0};
    std::atomic<std::uint64_t> attachments_not_kept_{0};
    std::atomic<std::uint64_t> socket_dumps_{0};
    std::atomic<std::uint64_t> socket_dumps_failed_{0};
    mutable std::atomic<std::uint32_t> visits_{0};
};

template <typename Function>
bool FlowTable::walk_on(Walk& walk, Function&& f) {
    Shard& shard = shards_[walk.shard];
    const std::lock_guard lock(shard);
    const std::uint32_t stop = std::min(shard.store_.end(), walk.first + records_per_lock);
    for (; walk.index < stop; ++walk.index) {
        Flow& flow = shard.store_[walk.index];
        if (flow.state != FlowState::free && !f(shard, flow)) return false;
    }
    if (walk.first + records_per_lock >= shard.store_.end()) walk.shards &= ~(1u << walk.shard);
    if (walk.shards == 0) return true;
    const std::uint32_t following = walk.shards & ~((2u << walk.shard) - 1);
    if (following == 0) walk.first += records_per_lock;
    walk.shard = static_cast<std::uint32_t>(__builtin_ctz(following != 0 ? following : walk.shards));
    walk.index = walk.first;
    return true;
}

template <typename Function>
bool FlowTable::walk_due(Walk& walk, std::uint32_t bit, Function&& f) {
    return walk_on(walk, [&](Shard& shard, const Flow& flow) {
        // Earlier flows of the same key are delivered with it, in order.
        if (flow.superseded || (flow.older == FlowStore::none && due(shard, flow, bit) == 0)) return true;
        return static_cast<bool>(f(shard, flow));
    });
}

template <typename Function>
void FlowTable::for_each_record(std::uint32_t of_shards, Listener& listener, Function&& f) {
    if (of_shards == 0) return;
    for (Walk walk{of_shards, static_cast<std::uint32_t>(__builtin_ctz(of_shards))}; walk.shards != 0; listener.released())
        walk_on(walk, [&](Shard& shard, Flow& flow) {
            f(shard, flow);
            return true;
        });
}

}  // namespace flowd::core
