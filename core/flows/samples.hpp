// SPDX-License-Identifier: Apache-2.0
// core/flows/samples.hpp: the samples of one period, from all enrichers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "flowd/abi/event.h"

namespace flowd::core {

/// Collects the samples of all enrichers of one period, so that each flow gets one ongoing event. add() is thread-safe; the
/// rest is for the thread that runs the period: create, let all enrichers add, Bus::apply_samples, clear.
class SamplePeriod {
  public:
    static constexpr std::size_t max_tcp_info = 4096;  ///< bytes; struct tcp_info has some 280
    static constexpr std::size_t max_text = 64;        ///< of source and congestion

    /// Copies. FLOWD_INVALID: malformed; FLOWD_LIMIT: `max_bytes` of samples are waiting, apply and clear first.
    flowd_result add(std::string_view enricher, const flowd_sample* sample);
    [[nodiscard]] std::size_t bytes() const;
    [[nodiscard]] std::uint64_t invalid() const;  ///< refused because they were malformed, ...
    [[nodiscard]] std::uint64_t shed() const;     ///< ... or for lack of room
    void count_shed(std::uint64_t more);          ///< samples that were not offered to it
    void clear();

    explicit SamplePeriod(std::size_t max_bytes = 64u << 20) : max_bytes_(max_bytes) {}

    /// One sample with the storage for its contents.
    struct Entry {
        flowd_sample sample;  ///< without its attachments
        std::vector<flowd_attachment> attachments;
        std::unique_ptr<char[]> storage;
    };
    /// One span per flow, in the order of arrival. No add() meanwhile.
    [[nodiscard]] std::vector<std::span<const Entry* const>> by_flow() const;

  private:
    const std::size_t max_bytes_;
    mutable std::mutex mutex_;
    std::vector<Entry> entries_;
    mutable std::vector<const Entry*> sorted_;  ///< what by_flow() returned refers to it
    std::size_t bytes_ = 0;
    std::uint64_t invalid_ = 0;
    std::uint64_t shed_ = 0;
};

}  // namespace flowd::core
