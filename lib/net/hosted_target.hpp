// SPDX-License-Identifier: Apache-2.0
// lib/net/hosted_target.hpp: a Target on an instance's loop. [instance] without a tag; must not outlive its Host.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "flowd/host.hpp"
#include "flowd/json.hpp"
#include "flowd/module.hpp"
#include "lib/net/target.hpp"

namespace flowd::net {

/// Runs the timer of a Target, waits until its socket is writable, and logs one line when the target becomes reachable and
/// one when it becomes unreachable, but none per datagram. Several threads may send to it.
class HostedTarget {
  public:
    HostedTarget(Host& host, std::unique_ptr<Target> target, Target::Forbidden forbidden);

    void start();
    /// In force from the next query on.
    void resolve_every(std::chrono::milliseconds interval);
    /// [any] Calls use(Target&) while no other thread uses the target.
    template <typename Use>
    auto with(Use&& use) {
        const std::lock_guard lock(mutex_);
        return std::forward<Use>(use)(*target_);
    }
    bool push(std::string_view payload) {  ///< [any]
        return with([&](Target& target) { return target.push(payload); });
    }
    /// [any] Sends what was pushed. False: the instance's thread has to call settle().
    [[nodiscard]] bool send();
    /// Arms the timer, waits until the socket is writable, and logs, as is needed after send().
    void settle();
    void flush() {
        if (!send()) settle();
    }
    /// Sends what is queued until the deadline, then reports the losses that were not reported yet.
    void stop(const Deadline& deadline);

    /// For the instance's thread, while no other thread sends.
    [[nodiscard]] const Target& target() const { return *target_; }
    /// One object: name, address, counters, last error.
    void status(json::Writer& writer) const;

  private:
    void tick();
    // With the lock:
    void settle_locked();
    void arm();
    void report_trouble();
    /// The number of fireflies that were dropped or failed and not logged yet; marks them as logged.
    [[nodiscard]] std::uint64_t take_lost();

    Host& host_;
    mutable std::mutex mutex_;  ///< of everything below
    std::unique_ptr<Target> target_;
    Target::Forbidden forbidden_;
    Timer timer_;
    Target::Clock::time_point armed_{};
    bool blocked_ = false;  ///< the socket buffer was full
    Watch writable_;        // declared after the target: destroyed before its descriptor is closed
    std::string reported_;
    bool announced_ = false;
    std::uint64_t lost_told_ = 0;
    bool loss_begun_ = false;  ///< and was logged
};

}  // namespace flowd::net
