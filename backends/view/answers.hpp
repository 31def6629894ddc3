// SPDX-License-Identifier: Apache-2.0
// Answers of the daemon for the page. Belongs to the instance's thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "flowd/daemon.hpp"
#include "lib/http/message.hpp"

namespace flowd::view {

/// Asks the daemon once for all pages that want the same at the same time.
class Answers {
  public:
    explicit Answers(Host& host) : requests_(host) {}

    /// `flowd-cpp status --json`, at most a second old.
    void status(http::Reply reply);
    /// The answer to other words, for this request alone.
    void ask(const std::vector<std::string>& words, http::Reply reply);

  private:
    using Clock = std::chrono::steady_clock;

    Requests requests_;
    std::vector<http::Reply> waiting_;
    std::string status_;
    Clock::time_point status_time_{};
};

}  // namespace flowd::view
