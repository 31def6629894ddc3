// SPDX-License-Identifier: Apache-2.0
// Connections of another process: those of its own the plugin leaves alone.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <stdexcept>
#include <vector>

#include "flowd/unique_fd.hpp"

namespace flowd::netlink {

/// A child that runs `steps` one after the other, each when it is told to, and ends with the last or with this object.
class Foreign {
  public:
    explicit Foreign(const std::vector<std::function<void()>>& steps) {
        int orders[2], answers[2];
        if (::pipe(orders) != 0 || ::pipe(answers) != 0) throw std::runtime_error("pipe");
        child_ = ::fork();
        if (child_ < 0) throw std::runtime_error("fork");
        if (child_ == 0) {
            ::close(orders[1]);
            ::close(answers[0]);
            char order = 0;
            int status = 0;
            for (const auto& step : steps) {
                if (::read(orders[0], &order, 1) != 1) break;
                try {
                    step();
                } catch (const std::exception&) {
                    status = 1;
                }
                if (status != 0 || ::write(answers[1], &order, 1) != 1) break;
            }
            (void)!::read(orders[0], &order, 1);  // until the parent lets go
            ::_exit(status);
        }
        ::close(orders[0]);
        ::close(answers[1]);
        orders_.reset(orders[1]);
        answers_.reset(answers[0]);
    }
    Foreign(const Foreign&) = delete;
    Foreign& operator=(const Foreign&) = delete;
    ~Foreign() {
        orders_.reset();
        ::waitpid(child_, nullptr, 0);
    }
    /// Runs the next step; false when it failed.
    bool step() {
        char order = 0;
        return ::write(orders_.get(), &order, 1) == 1 && ::read(answers_.get(), &order, 1) == 1;
    }
    /// Tells it to begin the next step, without waiting for its end.
    bool begin() {
        const char order = 0;
        return ::write(orders_.get(), &order, 1) == 1;
    }

  private:
    pid_t child_ = -1;
    UniqueFd orders_, answers_;
};

}  // namespace flowd::netlink
