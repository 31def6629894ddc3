// SPDX-License-Identifier: Apache-2.0
// All internet sockets of this process (flowd/abi/ext/descriptors.h). Any thread.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "flowd/abi/ext/descriptors.h"

namespace flowd::core {

class OwnSockets {
  public:
    using Clock = std::chrono::steady_clock;

    /// The sockets as of at most `max_age` ago.
    [[nodiscard]] std::shared_ptr<const std::vector<flowd_socket>> list(std::chrono::nanoseconds max_age,
                                                                        Clock::time_point now = Clock::now());

  private:
    std::mutex mutex_;
    std::shared_ptr<const std::vector<flowd_socket>> sockets_;
    std::optional<Clock::time_point> looked_;
};

}  // namespace flowd::core
