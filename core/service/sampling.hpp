// SPDX-License-Identifier: Apache-2.0
// Has the enrichers sample the live flows once per period, and applies the samples to the flow table. Main thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "core/base/loop.hpp"
#include "core/flows/bus.hpp"
#include "core/modules/open_period.hpp"
#include "core/service/supervisor.hpp"

namespace flowd::core {

class Sampling {
  public:
    /// The arguments must outlive this object and the jobs that `aside` runs on another thread.
    Sampling(Bus& bus, const Supervisor& supervisor, Loop& loop, std::function<void(std::function<void()>)> aside)
        : bus_(bus), supervisor_(supervisor), loop_(loop), aside_(std::move(aside)) {}
    Sampling(const Sampling&) = delete;
    Sampling& operator=(const Sampling&) = delete;
    ~Sampling() = default;

    /// Starts sampling; stops it if `period` is 0 or there is no enricher.
    void set_period(std::chrono::nanoseconds period);
    /// Call it each time the loop was woken: applies the samples once all enrichers have finished.
    void collect();

  private:
    void begin();
    void finish();

    Bus& bus_;
    const Supervisor& supervisor_;
    Loop& loop_;
    const std::function<void(std::function<void()>)> aside_;
    Loop::Id timer_ = 0;
    const std::shared_ptr<std::atomic<std::uint64_t>> late_ = std::make_shared<std::atomic<std::uint64_t>>(0);
    const std::shared_ptr<std::atomic<bool>> applying_ = std::make_shared<std::atomic<bool>>(false);
    std::shared_ptr<OpenPeriod> open_;  ///< null: no period is running
};

}  // namespace flowd::core
