// SPDX-License-Identifier: Apache-2.0
// A thread for long jobs of the core, so that they do not block the main thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/base/thread.hpp"

namespace flowd::core {

class Worker {
  public:
    [[nodiscard]] static Result<std::unique_ptr<Worker>> start(const std::string& name);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    /// Waits for the current job; jobs that have not begun are dropped.
    ~Worker();

    /// [any] Runs `job` after all jobs posted before. It must not throw.
    void post(std::function<void()> job);

  private:
    Worker() = default;
    void run();

    std::mutex mutex_;  // guards the members below
    std::condition_variable changed_;
    std::deque<std::function<void()>> jobs_;
    bool over_ = false;

    std::unique_ptr<Thread> thread_;  // last: joined before the members it uses are destroyed
};

}  // namespace flowd::core
