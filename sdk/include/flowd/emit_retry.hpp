// SPDX-License-Identifier: Apache-2.0
// flowd/emit_retry.hpp: what a plugin that reads no further does when emit fails for another reason than full queues.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "flowd/host.hpp"

namespace flowd {

/// After FLOWD_FULL the core calls on_room. After an error (no memory, say) nobody calls: this class does, a limited
/// number of times, so that neither the plugin nor those who write to it wait for ever. [instance]; must not outlive its
/// Host.
///
///     while (true) {
///         const Emitted emitted = emit_each(host(), waiting, settled);   // and take away what is settled
///         const EmitRetry::Next next = retry_.after(emitted);
///         if (next == EmitRetry::Next::give_up) { take away and count one event;  continue; }
///         return next == EmitRetry::Next::go_on;                         // false: pause, on_room or `again` follows
///     }
class EmitRetry {
  public:
    enum class Next {
        go_on,   ///< all are settled
        wait,    ///< on_room or `again` follows; or the instance was stopped
        give_up  ///< leave the first event out that is not settled, and go on behind it
    };

    /// `again`: what on_room does.
    EmitRetry(const Host& host, std::function<void()> again) : host_(host), again_(std::move(again)) {}

    EmitRetry(const EmitRetry&) = delete;
    EmitRetry& operator=(const EmitRetry&) = delete;

    /// Once after each emit of events that wait. The first failure is logged, and the first event that is given up.
    [[nodiscard]] Next after(const Emitted& emitted) {
        if (emitted.accepted > 0) tries_ = 0;
        if (emitted.ok()) return Next::go_on;
        if (emitted.full() || emitted.result == FLOWD_STOPPED) return Next::wait;
        if (tries_ == limit) {  // and it stays there: when the core takes nothing any more, each event costs one try
            if (!std::exchange(gave_up_, true))
                host_.warning("the core did not take an event in " + std::to_string(limit) +
                              " tries; it is left out, as are further ones until it takes one");
            ++given_up_;
            return Next::give_up;
        }
        if (tries_ == 0) {
            gave_up_ = false;
            host_.warning("the core could not take an event: result " + std::to_string(emitted.result) +
                          "; it is offered again");
        }
        auto timer = host_.after(std::min(first_pause * (1 << tries_), last_pause), [this] { again_(); });
        if (!timer) {  // nobody would come back to it
            ++given_up_;
            return Next::give_up;
        }
        ++tries_;
        timer_ = std::move(*timer);
        return Next::wait;
    }
    void stop() { timer_.reset(); }
    [[nodiscard]] std::uint64_t given_up() const { return given_up_; }

    static constexpr int limit = 6;
    static constexpr std::chrono::milliseconds first_pause{100}, last_pause{2000};

  private:
    const Host& host_;
    std::function<void()> again_;
    Timer timer_;
    int tries_ = 0;
    bool gave_up_ = false;
    std::uint64_t given_up_ = 0;
};

}  // namespace flowd
