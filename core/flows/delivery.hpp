// SPDX-License-Identifier: Apache-2.0
// core/flows/delivery.hpp: delivers the changes of the flow table to the backends: which have room, which are
// resynchronised, which are woken.
//
// Invariants:
// - A change reaches every queue under the lock of its shard, so that the events of a flow have one order for all
//   backends.
// - A change for which a queue had no room is due in the flow table (FlowTable::due), and the queue has `missed` set.
// - Lock order: a change of members -> marks -> either the slots of members or one shard -> queues, ascending
//   by slot -> sender stripes. The lock of the catch-all is never held together with another.
// - Code outside of the bus (wake, on_room, on_marks) is called by Notices, without any of these locks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/clock.hpp"
#include "core/flows/catch_all.hpp"
#include "core/flows/delivery_marks.hpp"
#include "core/flows/delivery_queue.hpp"
#include "core/flows/flow_table.hpp"
#include "core/flows/membership.hpp"

namespace flowd::core {

/// What has to be done once no lock is held.
class Notices final : public FlowTable::Listener {
  public:
    explicit Notices(Delivery& delivery) : delivery_(delivery) {}
    Notices(const Notices&) = delete;
    Notices& operator=(const Notices&) = delete;
    /// Also after an exception: events of which a queue is not told are not taken.
    ~Notices() override { fire(); }

    void tell(const std::shared_ptr<DeliveryQueue>& queue) noexcept;
    void tell_room(std::uint64_t announcers) { announcers_ |= announcers; }
    void look_at_marks() { marks_ = true; }  ///< a queue has passed some marks
    void fire();

    void ended(FlowTable::Shard& shard, const Flow& flow, std::uint32_t to, Now now) override;
    void released() override { fire(); }

  private:
    Delivery& delivery_;
    std::vector<std::shared_ptr<DeliveryQueue>> queues_;
    std::uint64_t announcers_ = 0;
    bool marks_ = false;
};

class Delivery {
  public:
    Delivery(FlowTable& table, const CatchAll& catch_all, Membership& members, Clock clock)
        : table_(table), catch_all_(catch_all), members_(members), clock_(std::move(clock)), marks_(members) {}

    /// The queues of one event, locked together: either all take it or none does. Used with the shard's lock held.
    class Gate {
      public:
        explicit Gate(Delivery& delivery) : members_(delivery.members_) {}
        ~Gate() { release(); }
        Gate(const Gate&) = delete;
        Gate& operator=(const Gate&) = delete;

        /// False: a queue is full, and `announcer` (a plugin's slot) will be notified of room. Left out are queues that are
        /// behind, and full ones that do not push back.
        bool open(std::uint32_t backends, std::size_t bytes, std::uint32_t announcer, std::int64_t now);
        [[nodiscard]] std::uint32_t held() const { return held_; }
        void push(const Outgoing& event, std::int64_t now, Notices& notices);
        void release();

      private:
        const Membership& members_;
        std::uint32_t held_ = 0;
    };

    // With the shard's lock held.
    void push_ongoing(std::uint32_t to, const Outgoing& event, std::int64_t now, Notices& notices);
    /// Delivers all that they have missed of this key. Those without room are resynchronised later.
    void bring_up(FlowTable::Shard& shard, std::uint64_t flow_id, std::uint32_t to, Now now, Notices& notices);

    // With a change of members held.
    Result<std::shared_ptr<DeliveryQueue>> add(BackendOptions options, std::shared_ptr<Delivery> self);
    Result<std::shared_ptr<DeliveryQueue>> replace(const std::shared_ptr<DeliveryQueue>& old, BackendOptions options,
                                                   std::shared_ptr<Delivery> self);
    void remove(const std::shared_ptr<DeliveryQueue>& queue);
    void remove_all();

    void set_limits(const QueueLimits& limits);
    void tell_catch_all();  ///< if it has changed
    flowd_result mark(AnnouncerId id);
    void drop_marks(std::uint32_t announcer) { marks_.drop(announcer); }
    /// Plugins do not wait for a backend that takes nothing. Returns the time of the next check.
    std::int64_t watch_stalls(std::int64_t now);
    void count(BusCounters& out) const;

    // For queues, on the backend's thread.
    [[nodiscard]] const CatchAll& catch_all() const { return catch_all_; }
    [[nodiscard]] std::int64_t steady_ns() const { return clock_.steady_ns(); }
    /// Queues the events that the backend has missed, up to half of its queue.
    void resync(DeliveryQueue& queue, Notices& notices);
    [[nodiscard]] Remains owed_to(unsigned slot) { return {table_.owed_to(slot)}; }

  private:
    friend class Notices;
    /// False: its queue has no room.
    bool bring_up_one(FlowTable::Shard& shard, const Flow& flow, const std::shared_ptr<DeliveryQueue>& queue,
                      std::uint32_t end_flags, Now now, Notices& notices);
    bool bring_up_key(FlowTable::Shard& shard, const Flow& flow, const std::shared_ptr<DeliveryQueue>& queue,
                      std::uint32_t end_flags, Now now, Notices& notices);
    Result<std::shared_ptr<DeliveryQueue>> add_queue(BackendOptions options, std::shared_ptr<Delivery> self);
    void detach(DeliveryQueue& queue, Notices& notices);

    FlowTable& table_;
    const CatchAll& catch_all_;
    Membership& members_;
    const Clock clock_;
    std::atomic<std::uint64_t> catch_all_told_{0};  ///< version
    DeliveryMarks marks_;
};

}  // namespace flowd::core
