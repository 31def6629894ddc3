// SPDX-License-Identifier: Apache-2.0
// lib/bpf/throttle.hpp: does a thing soon after it was asked for, and not too often. Belongs to the instance's thread.
#pragma once

#include <chrono>
#include <functional>
#include <utility>

#include "flowd/host.hpp"

namespace flowd::bpf {

/// The first call does the work at once; calls within `period` after the work was done share one more, at its end. So a
/// burst of changes, of which each would make the work necessary, costs little and its last one is never missed.
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
        rest();
        work_();
    }
    /// Forgets what was asked for.
    void cancel() {
        timer_.reset();
        resting_ = is_wanted_ = false;
    }

  private:
    void rest() {
        auto timer = host_.after(period_, [this] {
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
