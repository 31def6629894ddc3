// SPDX-License-Identifier: Apache-2.0
// The user's wish to end a command that runs for long, as a descriptor. One at a time, main thread.
#pragma once

#include <signal.h>

#include <array>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::cli {

/// While it lives, the first SIGINT and the first SIGTERM make fd() readable; the second of a kind ends the process, for
/// commands that do not listen.
class Interrupt {
  public:
    [[nodiscard]] static Result<Interrupt> listen();
    Interrupt(Interrupt&& other) noexcept = default;
    Interrupt& operator=(Interrupt&&) = delete;
    ~Interrupt();

    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    explicit Interrupt(UniqueFd fd) : fd_(std::move(fd)) {}

    static constexpr std::array<int, 2> signals{SIGINT, SIGTERM};
    UniqueFd fd_;
    std::array<struct sigaction, signals.size()> before_{};
};

}  // namespace flowd::core::cli
