// SPDX-License-Identifier: Apache-2.0
// core/flows/delivery_marks.hpp: notifies a plugin when all backends have settled the events emitted before its mark.
//
// Invariants:
// - Marks are passed in the order in which they were made. A queue settles events in the order in which they are pushed,
//   so for each queue a mark is a position in it. Missed events are pushed by the next walk through the flow
//   table; then the position is the end of that walk. Later marks have later positions.
// - A queue that was handed over counts until it is empty, closed or removed.
// - The lock is taken before those of members, shards and queues; nothing else is called while it is held.
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
    /// Drops the marks of a plugin that is removed or replaced.
    void drop(std::uint32_t slot);

    /// Marks of one plugin that all backends have passed.
    struct Passed {
        std::uint32_t slot;
        std::uint32_t epoch;
        std::size_t count;
    };
    [[nodiscard]] std::vector<Passed> take_passed();

    /// No mark is made while `switch_over` redirects events from one queue to the other.
    template <typename Function>
    void hand_over(const std::shared_ptr<DeliveryQueue>& from, DeliveryQueue& to, Function&& switch_over) {
        const std::lock_guard lock(mutex_);
        forget_empty();
        sealed_.push_back(from);
        // Events that the predecessor missed reach the successor in its first walk through the table.
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
