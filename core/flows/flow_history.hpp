// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_history.hpp: what remains of flows: the last ended ones, the stream of events, and sums per minute. Any
// thread. Writing takes a lock of a SequenceRing for the time of one copy and calls nothing, so it is done under the
// lock of a shard.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "core/flows/flow_record.hpp"
#include "core/flows/minutes.hpp"
#include "core/flows/sequence_ring.hpp"
#include "flowd/abi/ext/events.h"
#include "flowd/abi/ext/flows.h"

namespace flowd::core {

class FlowHistory {
  public:
    static constexpr std::size_t events_kept = 32'768;
    static constexpr std::size_t refusals_kept = 1'024;  ///< with their texts
    static constexpr std::uint64_t refusals_per_second = 256;
    static constexpr std::size_t max_text = 128;  ///< bytes of a refusal's texts

    /// `ended`: how many ended flows are kept. `now_ns`: Unix time.
    FlowHistory(std::size_t ended, std::int64_t now_ns);

    /// The latest ended flows remain. One thread at a time.
    void set_capacity(std::size_t ended);

    template <typename Fill>
    void add_event(Fill&& fill) noexcept {
        (void)events_.add(std::forward<Fill>(fill));
    }
    template <typename Fill>
    void add_ended(Fill&& fill) noexcept {
        (void)ended_.load(std::memory_order_acquire)->add(std::forward<Fill>(fill));
    }
    /// Does not allocate once the ring is full. Beyond refusals_per_second they are only counted.
    void add_refusal(std::int64_t now_ns, std::string_view instance, std::string_view reason, std::string_view sender,
                     std::string_view first);

    /// flowd_ext_history.page
    flowd_result page(const Membership& members, const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                      const std::function<bool(const flowd_flow&)>& visitor) const;
    [[nodiscard]] std::uint64_t count() const { return ended_.load(std::memory_order_acquire)->size(); }
    /// flowd_ext_events.read
    flowd_result read(const Membership& members, std::uint64_t& position, std::size_t limit, std::uint64_t& lost,
                      const std::function<bool(const flowd_observed&)>& visitor) const;
    [[nodiscard]] std::uint64_t next_event() const { return events_.next(); }
    [[nodiscard]] Minutes& minutes() { return minutes_; }

  private:
    struct Refusal {
        std::string instance, reason, sender, first;
        std::uint64_t suppressed = 0;
    };
    /// Later positions than those of an earlier process, unless there were a million events per second.
    [[nodiscard]] static std::uint64_t first_number(std::int64_t now_ns);

    const std::uint64_t first_;
    SequenceRing<ObservedRecord> events_;
    SequenceRing<Refusal> refusals_{refusals_kept, 1};
    std::deque<SequenceRing<FlowRecord>> rings_;  ///< one per capacity that was set: a writer may still use an earlier one
    std::atomic<SequenceRing<FlowRecord>*> ended_;
    Minutes minutes_;

    BusLock<Guards::ring> refusals_mutex_;  // guards the members below
    std::int64_t second_ = 0;
    std::uint64_t in_second_ = 0;
    std::uint64_t suppressed_ = 0;
};

}  // namespace flowd::core
