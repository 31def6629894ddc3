// SPDX-License-Identifier: Apache-2.0
// One sampling period, shared by the main thread, which opens and closes it, and the enrichers, which add to it.
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

/// Lets enrichers add until it is closed: one that is late must not add while the period is being applied. Any thread.
class OpenPeriod {
  public:
    /// `done` is called on an enricher's thread when the last of them is through: it should wake the main thread. `late`,
    /// which all periods share, counts the samples that came after their period: they are shed.
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
    /// No enricher adds samples any more: the period may be applied.
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
