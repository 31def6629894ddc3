// SPDX-License-Identifier: Apache-2.0
// Queries of instances to the daemon (flowd.daemon/1). Any thread.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "flowd/abi/base.h"

namespace flowd::core {

class Requests {
  public:
    using Words = std::vector<std::string>;
    /// Any thread; `answer` is one JSON value.
    using Answered = std::function<void(flowd_result result, const std::string& answer)>;
    /// False: it will not be answered.
    using Handler = std::function<bool(Words words, Answered answered)>;

    /// Empty: requests are refused from now on.
    void serve(Handler handler) {
        const std::lock_guard lock(mutex_);
        handler_ = std::move(handler);
    }
    [[nodiscard]] bool ask(Words words, Answered answered) {
        Handler handler;
        {
            const std::lock_guard lock(mutex_);
            handler = handler_;
        }
        return handler && handler(std::move(words), std::move(answered));
    }

  private:
    std::mutex mutex_;
    Handler handler_;
};

}  // namespace flowd::core
