// SPDX-License-Identifier: Apache-2.0
// A rate limiter per flow for relayed fireflies. Belongs to one thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>

#include "lib/firefly/firefly.hpp"
#include "lib/net/token_buckets.hpp"

namespace flowd::fireflyp {

/// A flow in either direction, and what is said of it.
struct FlowState {
    std::array<std::uint8_t, 38> bytes{};

    FlowState() = default;
    FlowState(const flowd_key& key, std::uint32_t state) {
        std::array<std::uint8_t, 18> one{}, other{};
        write(one, key.source, key.source_port);
        write(other, key.destination, key.destination_port);
        if (other < one) one.swap(other);
        std::copy(other.begin(), other.end(), std::copy(one.begin(), one.end(), bytes.begin()));
        bytes[36] = key.protocol;
        bytes[37] = static_cast<std::uint8_t>(state);
    }
    [[nodiscard]] std::size_t hash() const {
        return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    friend bool operator==(const FlowState&, const FlowState&) = default;

  private:
    static void write(std::array<std::uint8_t, 18>& end, const std::uint8_t (&address)[16], std::uint16_t port) {
        std::memcpy(end.data(), address, 16);
        std::memcpy(end.data() + 16, &port, sizeof port);
    }
};

/// Bounds loops through third-party relays that drop the member `flowd`.
class FlowLimit {
  public:
    using Clock = std::chrono::steady_clock;

    /// Three at once, then one in five seconds, of each flow and each state. `sets` of 4 flows are remembered; 0: no limit.
    explicit FlowLimit(std::size_t sets = 1u << 14) : buckets_(0.2, sets == 0 ? 0 : 3, sets) {}

    [[nodiscard]] bool admits(const FlowState& flow, Clock::time_point now) { return buckets_.admits(flow, now); }

  private:
    struct Hash {
        std::size_t operator()(const FlowState& flow) const { return flow.hash(); }
    };
    net::TokenBuckets<FlowState, Hash> buckets_;
};

}  // namespace flowd::fireflyp
