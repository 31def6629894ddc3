// SPDX-License-Identifier: Apache-2.0
// lib/bpf/throttle.hpp: limits how often work is done. Belongs to the instance's thread.
#pragma once

#include <chrono>
#include <functional>
#include <utility>

#include "flowd/host.hpp"

namespace flowd::bpf {

/// The first call does the work at once; all calls within `period` after it share one more run, at the end of the period. A
/// burst of changes that each require the work therefore costs two runs, and the last change is never missed.
class Throttle {
  public:
    static constexpr std::chrono::milliseconds default_period{200};

    Throttle(Host& host, std::function<void()> work, std::chrono::milliseconds period = default_period)
        : host_(host), work_(std::move(work)), period_(period) {}
    Throttle(const Throttle&) = delete;
    Throttle& operator=(const Throttle&) = delete;

    void call() {
        if (resting_) {
            is_wanted_ = true;
            return;
        }
        rest(period_);
        work_();
    }
    /// The work could not be completed: it is done again after `delay`, and not before.
    void call_after(std::chrono::milliseconds delay) {
        is_wanted_ = true;
        rest(delay);
    }
    /// Discards a pending run.
    void cancel() {
        timer_.reset();
        resting_ = is_wanted_ = false;
    }

  private:
    void rest(std::chrono::milliseconds period) {
        auto timer = host_.after(period, [this] {
            resting_ = false;
            if (std::exchange(is_wanted_, false)) call();
        });
        resting_ = timer.ok();
        if (timer) timer_ = *std::move(timer);
    }

    Host& host_;
    std::function<void()> work_;
    std::chrono::milliseconds period_;
    Timer timer_;
    bool resting_ = false;
    bool is_wanted_ = false;
};

}  // namespace flowd::bpf
