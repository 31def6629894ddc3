// SPDX-License-Identifier: Apache-2.0
// core/flows/catch_all.hpp: the catch-all: one tag for all traffic without a flow of its own. It is a state, not a
// flow: backends that accept it receive the one in force when they take events, so it needs no queue entry and cannot be
// lost.
//
// Invariants:
// - Each plugin instance has at most one. The one in force is that of the highest precedence, with equal precedence the
//   one that was set first.
// - The version increases with each change of the one in force, and only then: a backend that has received a version is
//   up to date until the version changes.
// - It has its own lock; nothing is called while it is held.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "core/flows/bus_lock.hpp"
#include "core/flows/flow_texts.hpp"
#include "core/flows/membership.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

class CatchAll {
  public:
    explicit CatchAll(const Membership& members) : members_(members) {}

    /// Sets or clears it by an event. FLOWD_STOPPED: the plugin was removed.
    flowd_result set(AnnouncerId id, const flowd_event& event, std::int64_t system_ns);
    /// Withdraws that of a plugin whose id is no longer valid.
    void withdraw(std::uint32_t slot, std::int64_t system_ns);

    [[nodiscard]] std::uint64_t version() const { return version_; }
    /// The one in force; none: an event of kind FLOWD_EVENT_CATCH_ALL_CLEAR. Its texts are in `texts`.
    struct State {
        std::uint64_t version = 0;
        flowd_event event{};
        FlowTexts texts;
    };
    [[nodiscard]] State state() const;

  private:
    struct Own {
        bool present = false;
        std::uint64_t sequence = 0;  ///< order in which it was set
        flowd_event event{};
        FlowTexts texts;
    };
    void evaluate(std::int64_t system_ns);

    const Membership& members_;
    mutable BusLock<Guards::catch_all> mutex_;
    std::array<Own, Bus::max_announcers> own_;
    Own in_force_;
    std::uint64_t last_sequence_ = 0;
    std::atomic<std::uint64_t> version_{0};  ///< written with the lock held
};

}  // namespace flowd::core
