// SPDX-License-Identifier: Apache-2.0
// lib/net/token_buckets.hpp: rate limits per key. Belongs to one thread.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

namespace flowd::net {

struct TokenBucket {
    using Clock = std::chrono::steady_clock;

    double tokens = 0;
    Clock::time_point seen{};

    /// False: the bucket is empty.
    [[nodiscard]] bool take(double per_second, double burst, Clock::time_point now) {
        const double passed = std::chrono::duration<double>(now - std::exchange(seen, now)).count();
        tokens = std::min(tokens + passed * per_second, burst);
        if (tokens < 1) return false;
        tokens -= 1;
        return true;
    }
};

/// A token bucket per key, in a set-associative table of fixed size: a new key replaces the least recently used one of its
/// set, and begins with a full bucket.
template <typename Key, typename Hash>
class TokenBuckets {
  public:
    using Clock = TokenBucket::Clock;

    /// `burst`: the size of a bucket; 0: no limit.
    TokenBuckets(double per_second, double burst, std::size_t sets = 2048)
        : per_second_(per_second), burst_(burst), sets_(burst == 0 ? 0 : sets) {}

    [[nodiscard]] bool admits(const Key& key, Clock::time_point now) {
        return sets_.empty() || of(key, now).take(per_second_, burst_, now);
    }

  private:
    struct Slot {
        Key key{};
        TokenBucket bucket;
    };
    using Set = std::array<Slot, 4>;

    TokenBucket& of(const Key& key, Clock::time_point now) {
        Set& set = sets_[Hash{}(key) % sets_.size()];
        for (Slot& slot : set)
            if (slot.key == key) return slot.bucket;
        Slot& oldest = *std::min_element(set.begin(), set.end(),
                                         [](const auto& a, const auto& b) { return a.bucket.seen < b.bucket.seen; });
        oldest = {key, {burst_, now}};
        return oldest.bucket;
    }

    double per_second_;
    double burst_;
    std::vector<Set> sets_;
};

}  // namespace flowd::net
