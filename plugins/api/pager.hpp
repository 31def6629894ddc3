// SPDX-License-Identifier: Apache-2.0
// GET /flows, so that whoever asks for pages cannot keep the others waiting. [instance]
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "flowd/module.hpp"
#include "lib/http/message.hpp"
#include "plugins/api/flow_page.hpp"

namespace flowd::api {

/// A page looks at the whole flow table, which takes a tenth of a second when a million flows live. Between two looks of
/// more than a moment there is a pause of four times as long: at most a fifth of the thread's time goes into pages. What
/// comes meanwhile waits on its connection, which is one request for each. What finds no place or waits for longer than
/// `patience` is answered 503 with Retry-After.
class Pager {
  public:
    using Clock = std::chrono::steady_clock;
    /// Makes a page, the long look at the table.
    using Page = std::function<std::string(const PageRequest&)>;
    /// Answers a request that had to wait.
    using Finish = std::function<void(http::Reply, http::Response)>;

    /// `now`: for tests.
    Pager(Host& host, Page page, Finish finish, std::function<Clock::time_point()> now = Clock::now)
        : host_(host), page_(std::move(page)), finish_(std::move(finish)), now_(std::move(now)) {}

    /// Nothing: it waits, and has taken the reply.
    [[nodiscard]] std::optional<http::Response> answer(const PageRequest& request, http::Reply& reply);
    /// In stop(): nothing waits any more, and nothing will.
    void stop();
    /// Pages that may wait; a further one is answered 503 at once.
    static constexpr std::size_t most_waiting = 64;
    static constexpr std::chrono::seconds patience{10};

    [[nodiscard]] std::uint64_t waited() const { return waited_; }  ///< pages that had to wait

  private:
    struct Waiting {
        PageRequest request;
        http::Reply reply;
        Clock::time_point until;
    };
    [[nodiscard]] http::Response look(const PageRequest& request);
    [[nodiscard]] http::Response turned_away() const;
    [[nodiscard]] Waiting take_front();
    void wait_for_turn();
    void take_turn();
    void turn_all_away();

    Host& host_;
    Page page_;
    Finish finish_;
    std::function<Clock::time_point()> now_;
    std::deque<Waiting> waiting_;
    Clock::time_point next_{};  ///< no look is taken before
    Timer turn_;
    bool stopping_ = false;
    std::uint64_t waited_ = 0;
};

}  // namespace flowd::api
