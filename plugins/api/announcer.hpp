// SPDX-License-Identifier: Apache-2.0
// Emits the events of requests, and queues them for a limited time while the bus is full. [instance]
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "lib/http/message.hpp"
#include "plugins/api/delivery_wait.hpp"

namespace flowd::api {

/// Back-pressure: while the queues are full, a request waits and its connection is not read; later requests wait behind it.
/// A request that waits longer than `patience` is answered 503 with Retry-After and the number of accepted events.
class Announcer {
  public:
    using Clock = DeliveryWait::Clock;
    /// Answers a request that had to wait.
    using Finish = DeliveryWait::Finish;
    /// When a request is answered: once the core has accepted its events, or once all backends have taken them.
    enum class Wait : std::uint8_t { accepted, taken };

    /// `taken_timeout`: for Wait::taken, since the arrival of the request.
    Announcer(Host& host, std::chrono::milliseconds patience, std::chrono::milliseconds taken_timeout, const Finish& finish)
        : host_(host),
          patience_(patience),
          taken_timeout_(taken_timeout),
          finish_(finish),
          delivery_(host, finish),
          outbox_(
              host,
              [this](bool has_room) {
                  if (has_room) go_on();
              },
              [this](const Outbox::Settled& settled) { settle(settled); }) {}

    /// `accepted`: the body of the response if all events are accepted. Empty: the request waits, and `reply` was moved.
    [[nodiscard]] std::optional<http::Response> announce(std::vector<Event> events, std::string accepted, Wait wait,
                                                         http::Reply& reply);
    void on_room() { outbox_.drain(); }
    /// In stop(): answers all waiting requests; later calls have no effect.
    void stop();

    /// Limit of the events of all waiting requests; a request that would exceed it is answered 503 at once.
    static constexpr std::size_t most_waiting = 20'000;

    [[nodiscard]] const Outbox& outbox() const { return outbox_; }
    [[nodiscard]] std::uint64_t full() const { return full_; }      ///< requests answered 503 because the queues were full
    [[nodiscard]] std::uint64_t waited() const { return waited_; }  ///< requests that had to wait
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }  ///< requests that wait at present
    [[nodiscard]] const DeliveryWait& delivery() const { return delivery_; }

  private:
    struct Task {
        std::vector<Event> events;
        std::string accepted_body;
        std::size_t offered = 0;  ///< the first ones, which are in the outbox or settled
        std::size_t accepted = 0;
        std::vector<std::size_t> refused;  ///< positions of the events that the core refused permanently
        bool limited = false;
        flowd_result error = FLOWD_OK;  ///< because of which an event was given up
        Wait wait = Wait::accepted;
        Clock::time_point arrived = Clock::now();
    };
    struct Waiting {
        Task task;
        http::Reply reply;
        Clock::time_point until;
    };

    /// FLOWD_OK: all events are settled.
    flowd_result try_to_announce(Task& task);
    void settle(const Outbox::Settled& settled);
    /// Continues with the waiting requests when there is room.
    void go_on();
    [[nodiscard]] http::Response answer_to(Task& task, flowd_result result);
    /// Empty: the request waits for the backends, and `reply` was moved.
    [[nodiscard]] std::optional<http::Response> conclude(Task& task, flowd_result result, http::Reply& reply);
    void finish_front(flowd_result result);
    void watch_patience();
    void lose_patience();

    Host& host_;
    std::chrono::milliseconds patience_;
    std::chrono::milliseconds taken_timeout_;
    Finish finish_;
    DeliveryWait delivery_;
    std::deque<Waiting> waiting_;
    std::size_t waiting_events_ = 0;
    Timer impatience_;
    bool stopping_ = false;
    Task* current_ = nullptr;  ///< the task whose events are in the outbox: the first waiting one, or the new one
    Outbox outbox_;
    std::uint64_t full_ = 0;
    std::uint64_t waited_ = 0;
};

}  // namespace flowd::api
