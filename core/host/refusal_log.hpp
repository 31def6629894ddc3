// SPDX-License-Identifier: Apache-2.0
// Refused inputs of one instance: counted by reason, recorded for queries, logged once per minute and reason. Any thread.
#pragma once

#include <spdlog/logger.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/host/metrics.hpp"
#include "core/host/refusals.hpp"

namespace flowd::core {

class RefusalLog {
  public:
    using Clock = std::chrono::steady_clock;

    /// Reasons beyond max_reasons are counted as "other".
    static constexpr std::size_t max_reasons = 64;
    static constexpr std::chrono::minutes log_period{1};

    /// `label`: value of the metric label `flowd_instance`. The referenced objects must outlive this one.
    RefusalLog(Refusals& refusals, Metrics& metrics, spdlog::logger& logger, std::string label)
        : refusals_(refusals), metrics_(metrics), logger_(logger), label_(std::move(label)) {}
    RefusalLog(const RefusalLog&) = delete;
    RefusalLog& operator=(const RefusalLog&) = delete;
    ~RefusalLog() { close(); }

    /// `reason` must be well-formed.
    void add(std::string_view reason, std::string_view sender, std::string_view first,
             Clock::time_point now = Clock::now());
    /// Removes the series; refusals after this call are not counted.
    void close();

  private:
    struct Reason {
        std::shared_ptr<Metric> count;  ///< null: the limit of series was reached
        Clock::time_point logged{};
        std::uint64_t silent = 0;  ///< refusals since the last logged line
    };
    Reason& of(std::string_view reason);

    Refusals& refusals_;
    Metrics& metrics_;
    spdlog::logger& logger_;
    const std::string label_;
    std::mutex mutex_;  // guards the members below
    std::map<std::string, Reason, std::less<>> reasons_;
    bool closed_ = false;
};

}  // namespace flowd::core
