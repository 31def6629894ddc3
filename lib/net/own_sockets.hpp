// SPDX-License-Identifier: Apache-2.0
// lib/net/own_sockets.hpp: recognises the daemon's own traffic by its sockets (flowd.descriptors/1). Used by one
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_set>
#include <vector>

#include "flowd/address.hpp"
#include "flowd/host.hpp"

namespace flowd::net {

/// Calls `visit` for each address of each interface in this network namespace; the address is empty for other entries,
/// such as link-layer addresses (getifaddrs(3)).
void visit_interfaces(const std::function<void(const char* name, const std::optional<Address>& address)>& visit);

/// Addresses of this host's interfaces in its network namespace.
[[nodiscard]] std::vector<Address> own_addresses();

/// The daemon's sockets at the last refresh(). If the core does not list them, no traffic counts as the daemon's own, and
/// a warning is logged.
class OwnSockets {
  public:
    /// `host` outlives it.
    explicit OwnSockets(Host& host) : host_(host) {}

    /// Reads the list again, unless another instance did so at most `max_age` ago.
    void refresh(std::chrono::nanoseconds max_age = {});

    /// Searches by the socket's cookie.
    [[nodiscard]] bool has(std::uint64_t cookie) const { return cookies_.contains(cookie); }
    /// Whether TCP connections to this local endpoint are connections to the daemon, open or closed.
    [[nodiscard]] bool listens_on(const Endpoint& local) const;
    /// The endpoints that unconnected UDP sockets are bound to.
    [[nodiscard]] const std::vector<Endpoint>& receivers() const { return receivers_; }

  private:
    Host& host_;
    std::unordered_set<std::uint64_t> cookies_;
    std::vector<Endpoint> listeners_;
    std::vector<Endpoint> receivers_;
    bool warned_ = false;
};

/// The endpoints at which the daemon receives UDP, so that it does not send to itself. Cached for a few seconds.
class OwnReceivers {
  public:
    using Clock = std::chrono::steady_clock;

    explicit OwnReceivers(Host& host) : sockets_(host) {}

    /// Whether this process would receive a datagram to this endpoint.
    [[nodiscard]] bool includes(const Endpoint& endpoint, Clock::time_point now = Clock::now());

    static constexpr std::chrono::seconds age{5};

  private:
    Clock::time_point read_{};
    std::vector<Address> addresses_;
    OwnSockets sockets_;
};

}  // namespace flowd::net
