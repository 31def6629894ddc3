// SPDX-License-Identifier: Apache-2.0
// Who may tell, and how fast. Belongs to one thread.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "flowd/address.hpp"
#include "lib/net/address_hash.hpp"

namespace flowd::fireflyp {

using net::hash_of;

/// A token bucket per source address that holds one second's worth. The table has a fixed size, whoever sends: a new
/// source takes the place of the one of its set that was silent for longest, and begins with a full bucket.
class RateLimit {
  public:
    using Clock = std::chrono::steady_clock;

    /// `per_second` of 0: no limit.
    explicit RateLimit(std::uint32_t per_second, std::size_t sets = 2048)
        : per_second_(per_second), sets_(per_second == 0 ? 0 : sets) {}

    [[nodiscard]] bool admits(const Address& source, Clock::time_point now) {
        if (per_second_ == 0) return true;
        Bucket& bucket = of(source, now);
        const double passed = std::chrono::duration<double>(now - std::exchange(bucket.seen, now)).count();
        bucket.tokens = std::min(bucket.tokens + passed * per_second_, static_cast<double>(per_second_));
        if (bucket.tokens < 1) return false;
        bucket.tokens -= 1;
        return true;
    }

  private:
    struct Bucket {
        Address source;
        double tokens = 0;
        Clock::time_point seen{};
    };
    using Set = std::array<Bucket, 4>;

    Bucket& of(const Address& source, Clock::time_point now) {
        Set& set = sets_[hash_of(source) % sets_.size()];
        for (Bucket& bucket : set)
            if (bucket.source == source) return bucket;
        Bucket& oldest =
            *std::min_element(set.begin(), set.end(), [](const auto& a, const auto& b) { return a.seen < b.seen; });
        return oldest = {source, static_cast<double>(per_second_), now};
    }

    std::uint32_t per_second_;
    std::vector<Set> sets_;
};

/// Networks from which fireflies are taken; empty: from everywhere.
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
