// SPDX-License-Identifier: Apache-2.0
// The announced connections and their state. Not bound to a thread, not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>

#include "flowd/event.hpp"
#include "flowd/key.hpp"
#include "lib/watch/announced.hpp"

namespace flowd::netlink {

/// One connection, identified by its cookie: the kernel does not reuse cookies.
struct Tracked : watch::Announced {
    std::uint8_t missed = 0;                              ///< consecutive dumps that did not show it
    std::chrono::steady_clock::time_point missing_since;  ///< the first of them
    std::uint8_t fin = 0;                                 ///< the peer's FIN was received
    bool announced = false;                               ///< false: it is known, but not announced
    std::uint64_t pass = 0;                               ///< the last dump that showed it
    int rule = -1;                                        ///< index of the rule; -1: the plugin's own tag
};

/// By cookie and by tuple. A tuple has one live connection, so a connection that reuses ports ends the previous one.
class Tracker {
  public:
    explicit Tracker(std::size_t most) : most_(most) {}

    [[nodiscard]] Tracked* find(std::uint64_t cookie);
    /// The cookie of the announced connection with this tuple, in either direction; 0: none.
    [[nodiscard]] std::uint64_t holder(const flowd_key& key) const;
    [[nodiscard]] const Tracked* announced_with(const flowd_key& key) const;
    /// Whether it knows a connection with this tuple that is not announced. Walks through all of them.
    [[nodiscard]] bool knows(const flowd_key& key) const;
    /// Null if it is full.
    Tracked* add(std::uint64_t cookie, const Tracked& connection);
    void erase(std::uint64_t cookie);
    /// It ended. Its cookie is remembered for a while, so that a late report does not start it again.
    void silence(std::uint64_t cookie);

    /// `visitor` returns false for connections that are to be erased.
    void sweep(const std::function<bool(std::uint64_t cookie, Tracked&)>& visitor);

    [[nodiscard]] std::size_t size() const { return by_cookie_.size(); }
    [[nodiscard]] std::size_t announced() const { return by_tuple_.size(); }

  private:
    void forget_tuple(std::uint64_t cookie, const Tracked& connection);

    std::size_t most_;
    std::unordered_map<std::uint64_t, Tracked> by_cookie_;
    std::unordered_map<flowd_key, std::uint64_t, KeyHash, KeyEqual> by_tuple_;
};

}  // namespace flowd::netlink
