// SPDX-License-Identifier: Apache-2.0
// The warning of fireflies that come back. Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "flowd/address.hpp"
#include "flowd/host.hpp"

namespace flowd::fireflyp {

/// Warns once a minute while fireflies come back.
class LoopAlarm {
  public:
    explicit LoopAlarm(Host& host) : host_(host) {}

    /// `own`: this daemon sent it; otherwise it was received before.
    void note(const Address& peer, bool own) {
        const std::lock_guard lock(mutex_);
        ++(own ? own_ : repeated_);
        peer_ = peer;
        if (silence_ == 0) warn();
    }
    /// Once a second.
    void settle() {
        const std::lock_guard lock(mutex_);
        if (silence_ > 0) --silence_;
        if (silence_ == 0 && peer_) warn();
    }

  private:
    void warn() {
        constexpr unsigned minute = 60;
        silence_ = minute;
        host_.warning(
            "fireflies come back from " + peer_->to_string() + ": " + std::to_string(own_) +
            " that this daemon sent itself, " + std::to_string(repeated_) +
            " that it received before, since the start; they are dropped. See whether two daemons have each other "
            "as collector or receiver, and remove one of the two");
        peer_.reset();
    }

    Host& host_;
    std::mutex mutex_;
    std::uint64_t own_ = 0, repeated_ = 0;
    std::optional<Address> peer_;  ///< since the last warning
    unsigned silence_ = 0;         ///< seconds until the next warning
};

}  // namespace flowd::fireflyp
