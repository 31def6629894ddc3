// SPDX-License-Identifier: Apache-2.0
// core/flows/catch_all.hpp: the catch-all: one tag for everything that has no flow of its own. It is a state, not a
// flow: backends that accept it are told the one in force when they take, so it needs no place in a queue and cannot be
// lost.
//
// Invariants:
// - Each announcer has at most one. In force is that of the highest precedence, among equals the one that was set
//   first.
// - The version rises with each change of what is in force, and only then: who has told a backend a version owes it
//   nothing until the version is another one.
// - The lock is this class's own; nothing is called with it held.
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

    /// Takes an event of either kind. FLOWD_STOPPED: the announcer has been removed.
    flowd_result set(AnnouncerId id, const flowd_event& event, std::int64_t system_ns);
    /// Of an announcer whose id is not valid any more.
    void withdraw(std::uint32_t slot, std::int64_t system_ns);

    [[nodiscard]] std::uint64_t version() const { return version_; }
    /// What is in force; none: an event of kind FLOWD_EVENT_CATCH_ALL_CLEAR. Its texts are in `texts`.
    struct State {
        std::uint64_t version = 0;
        flowd_event event{};
        FlowTexts texts;
    };
    [[nodiscard]] State state() const;

  private:
    struct Own {
        bool present = false;
        std::uint64_t sequence = 0;  ///< of its setting
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
