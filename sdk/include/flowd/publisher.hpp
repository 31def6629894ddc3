// SPDX-License-Identifier: Apache-2.0
// flowd/publisher.hpp: what an instance does once a second: it publishes its counters, and whatever else is due.
#pragma once

#include <chrono>
#include <functional>
#include <utility>

#include "flowd/counters.hpp"
#include "flowd/host.hpp"

namespace flowd {

/// Publishes periodically, and a last time when it is stopped, so that no count is missing at the end. [instance]; must not
/// outlive its Host, nor what it publishes: declare it after them.
///
///     Publisher publisher_{host(), counters_};
///     Result<void> start() override { return publisher_.start(); }
///     Result<void> stop(Deadline deadline) override { outbox_.stop(deadline); publisher_.stop(); return {}; }
class Publisher {
  public:
    static constexpr std::chrono::seconds period{1};

    Publisher(Host& host, Counters& counters) : Publisher(host, [&counters] { counters.publish(); }) {}
    /// `due`: further work of every second, in front of the publishing.
    Publisher(Host& host, std::function<void()> publish, std::function<void()> due = {})
        : host_(host), publish_(std::move(publish)), due_(std::move(due)) {}
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    [[nodiscard]] Result<void> start() {
        auto timer = host_.every(period, [this] {
            if (due_) due_();
            publish_();
        });
        if (!timer) return std::move(timer).error();
        timer_ = *std::move(timer);
        return {};
    }
    [[nodiscard]] bool is_running() const { return static_cast<bool>(timer_); }
    void stop() {
        timer_.reset();
        publish_();
    }

  private:
    Host& host_;
    std::function<void()> publish_;
    std::function<void()> due_;
    Timer timer_;
};

}  // namespace flowd
