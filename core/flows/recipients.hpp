// SPDX-License-Identifier: Apache-2.0
// core/flows/recipients.hpp: the backends of one shard, and which events of a record each of them has received: one
// bit per backend, no queues. Guarded by the shard's lock.
//
// Invariants:
// - Of a live flow, `started` and `retag` say what a recipient has received; of an ended flow, `started` and `ended`.
// - In `ended` of each ended flow the bits of unused slots are set: nothing is due to them. In `started` of each live flow
//   they are cleared: the next recipient in the slot receives the start.
// - Removal has two phases: from begin_removal() on, the recipient is sent nothing more; its bits are cleared record by
//   record, by a walk or by the next event of the key, before end_removal().
#pragma once

#include <array>
#include <cstdint>

#include "core/flows/flow_store.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

class Recipients {
  public:
    void add(std::uint32_t bit, std::uint32_t accepts) {
        active_ |= bit;
        for (unsigned kind = 0; kind < takes_.size(); ++kind)
            if ((accepts >> kind & 1) != 0) takes_[kind] |= bit;
    }
    /// `successor`: the recipient of the ends that it missed; 0: none.
    void begin_removal(std::uint32_t bit, std::uint32_t successor) {
        active_ &= ~bit;
        leaving_ = bit;
        successor_ = successor;
    }
    void end_removal() {
        for (std::uint32_t& takes : takes_) takes &= ~leaving_;
        leaving_ = successor_ = 0;
    }
    [[nodiscard]] bool are_leaving() const { return leaving_ != 0; }

    [[nodiscard]] std::uint32_t active() const { return active_; }
    [[nodiscard]] std::uint32_t taking(unsigned kind) const { return active_ & takes_[kind]; }

    /// Recipients that have received the start, or do not accept it.
    [[nodiscard]] std::uint32_t started(const Flow& flow) const { return flow.started | ~takes_[FLOWD_EVENT_START]; }
    /// Recipients that have not received the end of an ended flow.
    [[nodiscard]] static std::uint32_t owed(const Flow& ended) { return ~ended.ended; }
    /// The kind of the next event of this record that one of them has to be sent; 0: none.
    [[nodiscard]] std::uint32_t due(const Flow& flow, std::uint32_t bit) const {
        if ((started(flow) & bit) == 0) return FLOWD_EVENT_START;
        if (flow.state == FlowState::live) return (flow.retag & bit) != 0 ? FLOWD_EVENT_ONGOING : 0;
        return (flow.ended & bit) != 0 ? 0 : FLOWD_EVENT_END;
    }
    /// Records that they were sent the event. For an end see FlowTable::settle.
    static void told(Flow& flow, std::uint32_t bits, std::uint32_t kind) {
        if (kind == FLOWD_EVENT_START) flow.started |= bits;
        if (kind == FLOWD_EVENT_END) flow.ended |= bits;
        flow.retag &= ~bits;  // a start has the current tag, and so has an end
    }
    /// A live flow ends, and `told` were sent its end.
    void close(Flow& flow, std::uint32_t told) const {
        flow.ended = ~taking(FLOWD_EVENT_END) | told;
        flow.started |= ~active_;
    }
    /// Removes a leaving recipient from this record. An end that it lacks passes to its successor.
    void leave(Flow& flow) const {
        if (flow.state == FlowState::live) {
            flow.started &= ~leaving_;
            flow.retag &= ~leaving_;
            return;
        }
        const bool knew_start = (started(flow) & leaving_) != 0;
        flow.started |= leaving_;
        if ((flow.ended & leaving_) != 0) return;
        const std::uint32_t heir = successor_ & takes_[FLOWD_EVENT_END];
        flow.ended &= ~heir;
        if (!knew_start) flow.started &= ~heir;
        flow.ended |= leaving_;
    }

  private:
    std::uint32_t active_ = 0;
    std::array<std::uint32_t, FLOWD_EVENT_END + 1> takes_{};
    std::uint32_t leaving_ = 0;  ///< a removed backend whose bits some records of this shard still have ...
    std::uint32_t successor_ = 0;
};

}  // namespace flowd::core
