// SPDX-License-Identifier: Apache-2.0
// Receives SIGINT and SIGTERM of a long command by a descriptor. Main thread, before other threads exist.
#pragma once

#include <signal.h>

#include <memory>
#include <thread>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::cli {

/// While it exists, the first SIGINT or SIGTERM makes fd() readable. The second one ends the process, in case the command
/// does not check fd(). No system call of the main thread is interrupted.
class Interrupt {
  public:
    [[nodiscard]] static Result<std::unique_ptr<Interrupt>> listen();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;
    ~Interrupt();

    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    Interrupt() = default;
    void watch() const;

    UniqueFd fd_;
    UniqueFd signals_;
    UniqueFd over_;
    sigset_t before_{};
    std::thread watcher_;
};

}  // namespace flowd::core::cli
