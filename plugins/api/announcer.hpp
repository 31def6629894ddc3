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
#include <utility>
#include <vector>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "lib/http/message.hpp"
#include "plugins/api/delivery_wait.hpp"
#include "plugins/api/flow_reader.hpp"

namespace flowd::api {

/// The requests that are read in one turn of the loop are announced together: a wake-up of the backends for each costs more
/// than the rest of it.
/// Back-pressure: while the queues are full, a request waits and its connection is not read; later requests wait behind it.
/// A request that waits longer than `patience` is answered 503 with Retry-After and the number of accepted events.
class Announcer {
  public:
    using Clock = DeliveryWait::Clock;
    /// Answers a request.
    using Finish = DeliveryWait::Finish;
    /// Has the function called after what is to be read in this turn of the loop.
    using AfterTurn = std::function<void(std::function<void()>)>;
    /// When a request is answered: once the core has accepted its events, or once all backends have taken them.
    enum class Wait : std::uint8_t { accepted, taken };

    /// `taken_timeout`: for Wait::taken, since the arrival of the request.
    Announcer(Host& host, std::chrono::milliseconds patience, std::chrono::milliseconds taken_timeout, const Finish& finish,
              AfterTurn after_turn)
        : host_(host),
          patience_(patience),
          taken_timeout_(taken_timeout),
          finish_(finish),
          after_turn_(std::move(after_turn)),
          delivery_(host, finish),
          outbox_(
              host,
              [this](bool has_room) {
                  if (has_room) go_on();
              },
              [this](const Outbox::Settled& settled) { settle(settled); }) {}

    /// `accepted`: the body of the response if all events are accepted. `at_once`: not at the end of the turn. Empty:
    /// `reply` was moved, and is or will be answered.
    [[nodiscard]] std::optional<http::Response> announce(std::vector<Event> events, std::string accepted, Wait wait,
                                                         bool at_once, http::Reply& reply);
    /// The same, but the response is 200 and lists the flows that were refused, here or by the core, each with its reason.
    [[nodiscard]] std::optional<http::Response> announce(EachFlow each, Wait wait, bool at_once, http::Reply& reply);
    void on_room() {
        outbox_.drain();
        go_on();  // requests at the front may be settled although the outbox is still full
    }
    /// In stop(): answers all waiting requests; later calls have no effect.
    void stop();

    /// Limit of the events of all waiting requests, including those that are refused already; a request that would exceed
    /// it is answered 503 at once.
    static constexpr std::size_t most_waiting = 20'000;

    [[nodiscard]] const Outbox& outbox() const { return outbox_; }
    [[nodiscard]] std::uint64_t full() const { return full_; }      ///< requests answered 503 because the queues were full
    [[nodiscard]] std::uint64_t waited() const { return waited_; }  ///< requests that had to wait
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }  ///< requests that are not answered yet
    [[nodiscard]] const DeliveryWait& delivery() const { return delivery_; }

  private:
    struct Task {
        std::vector<Event> events;
        std::string accepted_body;
        std::size_t weight = 0;   ///< what counts for most_waiting
        std::size_t offered = 0;  ///< the first ones, which are in the outbox or settled
        std::size_t settled = 0;
        std::size_t accepted = 0;
        bool waits = false;                ///< for room
        std::vector<std::size_t> refused;  ///< positions of the events that the core refused permanently
        bool limited = false;
        flowd_result error = FLOWD_OK;  ///< because of which an event was given up
        Wait wait = Wait::accepted;
        std::optional<EachFlow> each;  ///< without its events; every flow is answered
        Clock::time_point arrived = Clock::now();
    };
    struct Waiting {
        Task task;
        http::Reply reply;
        Clock::time_point until;
    };

    [[nodiscard]] std::optional<http::Response> announce(Task task, bool at_once, http::Reply& reply);
    void settle(const Outbox::Settled& settled);
    /// Offers the events of all requests while there is room; answers those that are settled or have waited too long.
    void go_on();
    void offer();
    [[nodiscard]] static http::Response answer_to_each(Task& task);
    [[nodiscard]] http::Response answer_to(Task& task, flowd_result result);
    /// Empty: the request waits for the backends, and `reply` was moved.
    [[nodiscard]] std::optional<http::Response> conclude(Task& task, flowd_result result, http::Reply& reply);
    void finish_front(flowd_result result);
    /// Answers the first request although it is not settled.
    void give_up_front(flowd_result result);
    void watch_patience();

    Host& host_;
    std::chrono::milliseconds patience_;
    std::chrono::milliseconds taken_timeout_;
    Finish finish_;
    AfterTurn after_turn_;
    DeliveryWait delivery_;
    std::deque<Waiting> waiting_;
    std::size_t offered_ = 0;  ///< how many of them, from the front, are offered completely
    std::size_t settled_ = 0;  ///< ... and settled
    std::size_t weight_ = 0;   ///< of all of them
    Timer impatience_;
    bool stopping_ = false;
    bool comes_back_ = false;  ///< at the end of this turn of the loop
    bool goes_on_ = false;     ///< inside go_on(), which also serves requests that come meanwhile
    Outbox outbox_;
    std::uint64_t full_ = 0;
    std::uint64_t waited_ = 0;
};

}  // namespace flowd::api
