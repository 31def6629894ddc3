// SPDX-License-Identifier: Apache-2.0
// Signals as a descriptor. Create it before all threads: threads inherit the signal mask. Main thread.
#pragma once

#include <signal.h>

#include <optional>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// Blocks SIGTERM, SIGINT, SIGHUP and other signals that would end the process but have no use here (SIGUSR1, SIGALRM, the
/// real-time signals), and ignores SIGPIPE, until it is destroyed. SIGQUIT and signals of faults keep their effect.
class Signals {
  public:
    [[nodiscard]] static Result<Signals> block();
    Signals(Signals&&) = default;
    Signals& operator=(Signals&&) = delete;
    ~Signals();

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Removes the next pending signal and returns it; empty if there is none.
    [[nodiscard]] std::optional<int> take();

  private:
    Signals() = default;
    UniqueFd fd_;
    sigset_t before_{};
};

}  // namespace flowd::core
