// SPDX-License-Identifier: Apache-2.0
// plugins/perfsonar/own_sockets.hpp: tells the daemon's own flows from those of others. One thread at a time.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "flowd/address.hpp"

namespace flowd::perfsonar {

/// The sockets this process holds, by their cookies (socket(7), SO_COOKIE), and where it listens. A socket that was opened
/// since is found by the next refresh.
class OwnSockets {
  public:
    /// Looks at every descriptor of the process.
    void refresh();

    [[nodiscard]] bool has(std::uint64_t cookie) const { return cookies_.contains(cookie); }
    /// Whether a TCP connection that came to this address and port is one to the daemon, alive or not.
    [[nodiscard]] bool listens_on(const Endpoint& local) const;

  private:
    std::unordered_set<std::uint64_t> cookies_;
    std::vector<Endpoint> listeners_;
};

}  // namespace flowd::perfsonar
