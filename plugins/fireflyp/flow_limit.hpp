// SPDX-License-Identifier: Apache-2.0
// A rate limiter per flow for relayed fireflies. Belongs to one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "flowd/key.hpp"
#include "lib/net/token_buckets.hpp"

namespace flowd::fireflyp {

/// A flow in either direction, and the state that a firefly reports for it.
struct FlowState {
    flowd_key key{};
    std::uint32_t state = 0;

    [[nodiscard]] std::size_t hash() const { return KeyHash{}(key) + state; }
    friend bool operator==(const FlowState& a, const FlowState& b) {
        return a.state == b.state && KeyEqual{}(a.key, b.key);
    }
};

/// Bounds loops through third-party relays that drop the member `flowd`.
class FlowLimit {
  public:
    using Clock = std::chrono::steady_clock;

    /// For each flow and state: a burst of three, then one in five seconds. `sets` of 4 flows are stored; 0: no limit.
    explicit FlowLimit(std::size_t sets = 1u << 14) : buckets_(0.2, sets == 0 ? 0 : 3, sets) {}

    [[nodiscard]] bool admits(const FlowState& flow, Clock::time_point now) { return buckets_.admits(flow.hash(), now); }

  private:
    struct Itself {
        std::size_t operator()(std::size_t hash) const { return hash; }
    };
    /// By the hash of the flow, which is a third of the flow in size: two flows with the same 64 bits would have one limit.
    net::TokenBuckets<std::size_t, Itself> buckets_;
};

}  // namespace flowd::fireflyp
