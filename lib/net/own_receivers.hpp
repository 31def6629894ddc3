// SPDX-License-Identifier: Apache-2.0
// lib/net/own_receivers.hpp: where this process itself receives UDP, so that it never sends to itself. Belongs to one
// thread.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "flowd/address.hpp"

namespace flowd::net {

/// Addresses of this host's interfaces in its network namespace (getifaddrs(3)).
[[nodiscard]] std::vector<Address> own_addresses();

/// Where this process's unconnected, bound UDP sockets receive: getsockname of each socket in /proc/self/fd. It finds
/// the sockets of all modules, of a predecessor during a reload, and those from systemd, without knowing any of them.
[[nodiscard]] std::vector<Endpoint> own_udp_endpoints();

/// Remembers both for a few seconds.
class OwnReceivers {
  public:
    using Clock = std::chrono::steady_clock;

    /// Whether a datagram to this endpoint would come back to this process.
    [[nodiscard]] bool includes(const Endpoint& endpoint, Clock::time_point now = Clock::now());
    /// Looks again at the next question.
    void forget() { read_ = {}; }

    static constexpr std::chrono::seconds age{5};

  private:
    Clock::time_point read_{};
    std::vector<Address> addresses_;
    std::vector<Endpoint> endpoints_;
};

}  // namespace flowd::net
