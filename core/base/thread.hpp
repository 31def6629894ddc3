// SPDX-License-Identifier: Apache-2.0
// A joinable thread with a name and a configurable stack size, which std::thread does not offer. Joined by its destructor.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "flowd/result.hpp"

namespace flowd::core {

class Thread {
  public:
    /// Enough for a module's buffers; only pages that are used cost memory.
    static constexpr std::size_t stack_bytes = std::size_t{1} << 20;

    [[nodiscard]] static Result<std::unique_ptr<Thread>> start(const std::string& name, std::function<void()> body,
                                                               std::size_t stack = stack_bytes);
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;
    ~Thread() {
        if (started_) (void)::pthread_join(thread_, nullptr);
    }

  private:
    Thread() = default;
    pthread_t thread_{};
    bool started_ = false;
};

}  // namespace flowd::core
