// SPDX-License-Identifier: Apache-2.0
#include "core/base/worker.hpp"

#include <utility>

namespace flowd::core {

Result<std::unique_ptr<Worker>> Worker::start(const std::string& name) {
    // It reads configurations and loads modules, which may nest and recurse as deeply as on a main thread.
    constexpr std::size_t stack = std::size_t{8} << 20;
    std::unique_ptr<Worker> worker(new Worker);  // NOLINT: the constructor is private
    auto thread = Thread::start(
        name, [it = worker.get()] { it->run(); }, stack);
    if (!thread) return std::move(thread).error();
    worker->thread_ = std::move(*thread);
    return worker;
}

Worker::~Worker() {
    std::deque<std::function<void()>> dropped;
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
        dropped.swap(jobs_);
    }
    changed_.notify_all();
}

void Worker::post(std::function<void()> job) {
    {
        const std::lock_guard lock(mutex_);
        if (over_) return;
        jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
}

void Worker::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return over_ || !jobs_.empty(); });
        if (over_) return;
        std::function<void()> job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        job = nullptr;  // destroyed without the lock
        lock.lock();
    }
}

}  // namespace flowd::core
