// SPDX-License-Identifier: Apache-2.0
// GET /flows, so that whoever asks for pages cannot keep the others waiting. [instance]
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "flowd/module.hpp"
#include "lib/http/message.hpp"
#include "plugins/api/flow_page.hpp"

namespace flowd::api {

/// A page looks at the whole flow table, which takes a tenth of a second when a million flows live. Between two looks of
/// more than a moment there is a pause of four times as long: at most a fifth of the thread's time goes into pages. What
/// comes meanwhile waits on its connection, which is one request for each.
class Pager {
  public:
    using Clock = std::chrono::steady_clock;
    /// Answers a request that had to wait.
    using Finish = std::function<void(http::Reply, http::Response)>;

    Pager(Host& host, Finish finish) : host_(host), finish_(std::move(finish)) {}

    /// Nothing: it waits, and has taken the reply.
    [[nodiscard]] std::optional<http::Response> answer(const PageRequest& request, http::Reply& reply);
    /// In stop(): nothing waits any more.
    void stop();
    [[nodiscard]] std::uint64_t waited() const { return waited_; }  ///< pages that had to wait

  private:
    struct Waiting {
        PageRequest request;
        http::Reply reply;
    };
    [[nodiscard]] http::Response look(const PageRequest& request);
    void finish_front();
    void wait_for_turn();

    Host& host_;
    Finish finish_;
    std::deque<Waiting> waiting_;
    Clock::time_point next_{};  ///< no look is taken before
    Timer turn_;
    std::uint64_t waited_ = 0;
};

}  // namespace flowd::api
