// SPDX-License-Identifier: Apache-2.0
// lib/diag/streak.hpp: logs repeated failures of a periodic action. Belongs to the instance's thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "flowd/counted.hpp"
#include "flowd/host.hpp"

namespace flowd::diag {

/// Logs one line when failures begin and one when they end. Three successes in a row end them, so that an action that fails
/// every other time does not log a line each time.
class Streak {
  public:
    /// `what`: "the connections could not be listed".
    Streak(Host& host, std::string what) : host_(host), what_(std::move(what)) {}

    void failed(const std::string& why) {
        worked_ = 0;
        if (failed_++ == 0) host_.warning(what_ + ": " + why + " (logged once until it works again)");
    }
    void worked() {
        if (failed_ == 0 || ++worked_ < enough) return;
        host_.info(what_ + " " + counted(std::exchange(failed_, 0), "time") + "; it works again");
        worked_ = 0;
    }

    [[nodiscard]] bool is_failing() const { return failed_ > 0; }

  private:
    static constexpr int enough = 3;
    Host& host_;
    std::string what_;
    std::uint64_t failed_ = 0;
    int worked_ = 0;
};

}  // namespace flowd::diag
