// SPDX-License-Identifier: Apache-2.0
// The latest round trip time of each live flow, so that its end tells it too. Belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

namespace flowd::firefly_backend {

/// Samples come with `ongoing` events only, and the reference collector judges a flow by its end. Bounded: beyond
/// `limit` flows, further ones end without a round trip time.
class RttMemory {
  public:
    explicit RttMemory(std::size_t limit = 1u << 20) : limit_(limit) {}

    void remember(std::uint64_t flow_id, double rtt_ms) {
        const auto known = rtts_.find(flow_id);
        if (known != rtts_.end())
            known->second = rtt_ms;
        else if (rtts_.size() < limit_)
            rtts_.emplace(flow_id, rtt_ms);
    }
    [[nodiscard]] std::optional<double> find(std::uint64_t flow_id) const {
        const auto known = rtts_.find(flow_id);
        return known == rtts_.end() ? std::nullopt : std::optional(known->second);
    }
    void forget(std::uint64_t flow_id) { rtts_.erase(flow_id); }

  private:
    std::size_t limit_;
    std::unordered_map<std::uint64_t, double> rtts_;
};

}  // namespace flowd::firefly_backend
