// SPDX-License-Identifier: Apache-2.0
// core/flows/delivery_marks.hpp: an announcer is told when every backend has settled what was emitted before its mark.
//
// Invariants:
// - Marks are passed in the order in which they were made. A queue settles in the order in which events are pushed, so
//   for each queue a mark is a place in it. What the queue has missed is pushed by its next walk through the flow
//   table, whose end then is the place. Later marks have later places.
// - A queue that was handed over counts until it is empty, closed or forgotten.
// - The lock is taken before those of members, shards and queues; nothing else is called with it held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "core/flows/delivery_queue.hpp"
#include "core/flows/membership.hpp"

namespace flowd::core {

class DeliveryMarks {
  public:
    explicit DeliveryMarks(const Membership& members) : members_(members) {}

    flowd_result add(AnnouncerId id);
    /// Of an announcer that is removed or replaced.
    void drop(std::uint32_t slot);

    /// Marks of one announcer that every backend has passed.
    struct Passed {
        std::uint32_t slot;
        std::uint32_t epoch;
        std::size_t count;
    };
    [[nodiscard]] std::vector<Passed> take_passed();

    /// No mark is made while `switch_over` moves all that comes from one queue to the other.
    template <typename Function>
    void hand_over(const std::shared_ptr<DeliveryQueue>& from, DeliveryQueue& to, Function&& switch_over) {
        const std::lock_guard lock(mutex_);
        forget_empty();
        sealed_.push_back(from);
        // What the predecessor missed is told to the successor, in its first walk through the table.
        if (!marks_.empty()) to.wait_for(marks_.front().number);
        from->seal();
        switch_over();
    }
    void forget(const std::shared_ptr<DeliveryQueue>& sealed);
    void forget_all();

  private:
    struct Mark {
        std::uint64_t number;
        std::uint32_t slot;
        std::uint32_t epoch;
    };
    void forget_empty();

    const Membership& members_;
    BusLock<Guards::marks> mutex_;
    std::deque<Mark> marks_;
    std::uint64_t last_ = 0;
    std::vector<std::shared_ptr<DeliveryQueue>> sealed_;
};

}  // namespace flowd::core
