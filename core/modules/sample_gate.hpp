// SPDX-License-Identifier: Apache-2.0
// One sampling period, shared by the main thread, which opens and closes it, and the enrichers, which add to it.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <string_view>

#include "core/flows/samples.hpp"

namespace flowd::core {

/// Lets enrichers add until it is closed: one that is late must not add while the period is being applied. Any thread.
class SampleGate {
  public:
    /// `done` is called on an enricher's thread when the last of them is through: it should wake the main thread.
    explicit SampleGate(std::function<void()> done) : done_(std::move(done)) {}

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
        return open_ ? period_.add(enricher, sample) : static_cast<flowd_result>(FLOWD_STOPPED);
    }
    /// Nobody adds any more: the period may be applied.
    [[nodiscard]] const SamplePeriod& close() {
        const std::lock_guard lock(mutex_);
        open_ = false;
        return period_;
    }

  private:
    const std::function<void()> done_;
    mutable std::mutex mutex_;
    bool open_ = true;
    std::size_t pending_ = 0;
    SamplePeriod period_;
};

}  // namespace flowd::core
