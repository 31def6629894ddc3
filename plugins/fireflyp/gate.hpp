// SPDX-License-Identifier: Apache-2.0
// Access control and rate limits by sender. Belongs to one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "flowd/address.hpp"
#include "lib/net/address_hash.hpp"
#include "lib/net/token_buckets.hpp"

namespace flowd::fireflyp {

/// Rate limit by source address: each token bucket holds one second's worth.
class RateLimit : public net::TokenBuckets<Address, net::AddressHash> {
  public:
    /// `per_second` of 0: no limit.
    explicit RateLimit(std::uint32_t per_second, std::size_t sets = 2048) : TokenBuckets(per_second, per_second, sets) {}
};

/// Networks from which fireflies are accepted; empty: from everywhere.
class Allowed {
  public:
    explicit Allowed(std::vector<Network> networks) : networks_(std::move(networks)) {}
    [[nodiscard]] bool includes(const Address& source) const {
        return networks_.empty() || std::any_of(networks_.begin(), networks_.end(),
                                                [&](const Network& network) { return network.contains(source); });
    }

  private:
    std::vector<Network> networks_;
};

}  // namespace flowd::fireflyp
