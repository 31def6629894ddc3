// SPDX-License-Identifier: Apache-2.0
// Signals as a descriptor. Make one before any thread exists: threads inherit the mask. Main thread.
#pragma once

#include <signal.h>

#include <optional>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// Blocks SIGTERM, SIGINT, SIGHUP, and whatever else would end a process that has no use for it (SIGUSR1, SIGALRM, the
/// real-time signals), and ignores SIGPIPE for as long as it lives. SIGQUIT and what a fault raises keep their effect.
class Signals {
  public:
    [[nodiscard]] static Result<Signals> block();
    Signals(Signals&&) = default;
    Signals& operator=(Signals&&) = delete;
    ~Signals();

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// The next signal that came; nothing when there is none.
    [[nodiscard]] std::optional<int> take();

  private:
    Signals() = default;
    UniqueFd fd_;
    sigset_t before_{};
};

}  // namespace flowd::core
