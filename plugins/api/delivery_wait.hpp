// SPDX-License-Identifier: Apache-2.0
// Requests with wait=taken, which are answered once every backend has taken their events. [instance]
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "flowd/module.hpp"
#include "lib/http/message.hpp"

namespace flowd::api {

/// Each request sets a mark (flowd.delivery/1); marks are passed in order. A request that times out is answered 504, but
/// its entry remains until its mark is passed, so that the number of marks outstanding in the core is bounded.
class DeliveryWait {
  public:
    using Clock = std::chrono::steady_clock;
    using Finish = std::function<void(http::Reply, http::Response)>;

    DeliveryWait(Host& host, Finish finish) : host_(host), delivery_(host.delivery()), finish_(std::move(finish)) {}

    /// Call it right after the events were emitted. `taken`: the response once they are taken. `until` must not be before
    /// that of an earlier call. Empty: the request waits, and `reply` was moved.
    [[nodiscard]] std::optional<http::Response> wait(http::Response taken, std::size_t accepted, Clock::time_point until,
                                                     http::Reply& reply);
    /// In stop(): answers all waiting requests; marks that are passed later have no effect.
    void stop();

    /// Limit of waiting requests and those answered 504 whose mark is outstanding; a further one is answered 503 at once.
    static constexpr std::size_t most_outstanding = 4096;
    /// Limit of the bytes of their responses, for those that list many refused flows.
    static constexpr std::size_t most_bytes = std::size_t{16} << 20;

    [[nodiscard]] std::size_t waiting() const { return outstanding_.size() - late_; }
    [[nodiscard]] std::uint64_t waited() const { return waited_; }
    [[nodiscard]] std::uint64_t timed_out() const { return timed_out_; }  ///< answered 504

  private:
    struct Outstanding {
        http::Response taken;
        std::size_t accepted;
        Clock::time_point until;
        http::Reply reply;
    };

    [[nodiscard]] http::Response take_response(Outstanding& one);
    void on_mark();
    void watch_time();
    void on_time();

    Host& host_;
    Delivery delivery_;
    Finish finish_;
    std::deque<Outstanding> outstanding_;  ///< in the order of their marks
    std::size_t bytes_ = 0;                ///< of their responses
    std::size_t late_ = 0;                 ///< the number of entries at the front that were answered already
    Timer time_;
    bool stopping_ = false;
    std::uint64_t waited_ = 0;
    std::uint64_t timed_out_ = 0;
};

}  // namespace flowd::api
