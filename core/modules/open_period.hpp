// SPDX-License-Identifier: Apache-2.0
// One sampling period. The main thread opens and closes it; enrichers add samples to it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "core/flows/samples.hpp"

namespace flowd::core {

/// Accepts samples until it is closed: late enrichers must not add while the period is being applied. Any thread.
class OpenPeriod {
  public:
    /// `done` is called on an enricher's thread when the last enricher has finished; it should only wake the main thread.
    /// `late`, which all periods share, counts samples that came after the end of their period and are dropped.
    explicit OpenPeriod(std::function<void()> done, std::shared_ptr<std::atomic<std::uint64_t>> late = nullptr)
        : done_(std::move(done)), late_(std::move(late)) {}

    void enter() {
        const std::lock_guard lock(mutex_);
        ++pending_;
    }
    void leave() {
        {
            const std::lock_guard lock(mutex_);
            if (--pending_ > 0) return;
        }
        done_();
    }
    [[nodiscard]] bool idle() const {
        const std::lock_guard lock(mutex_);
        return pending_ == 0;
    }
    flowd_result add(std::string_view enricher, const flowd_sample* sample) {
        const std::lock_guard lock(mutex_);
        if (open_) return period_.add(enricher, sample);
        if (late_) ++*late_;
        return FLOWD_STOPPED;
    }
    /// Enrichers can no longer add samples: the period may be applied.
    [[nodiscard]] const SamplePeriod& close() {
        const std::lock_guard lock(mutex_);
        open_ = false;
        if (late_) period_.count_shed(late_->exchange(0));
        return period_;
    }

  private:
    const std::function<void()> done_;
    const std::shared_ptr<std::atomic<std::uint64_t>> late_;
    mutable std::mutex mutex_;
    bool open_ = true;
    std::size_t pending_ = 0;
    SamplePeriod period_;
};

}  // namespace flowd::core
