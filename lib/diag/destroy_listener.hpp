// SPDX-License-Identifier: Apache-2.0
// lib/diag/destroy_listener.hpp: hears of every socket that the kernel frees. Thread-aware, not thread-safe.
// Source: include/uapi/linux/sock_diag.h (SKNLGRP_*), net/core/sock_diag.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/diag/connection.hpp"

namespace flowd::diag {

/// A connection is freed when the application has closed it and TCP needs it no longer: at the latest when it goes to
/// TIME_WAIT. What is told has the last TCP information, but neither user nor control group.
class DestroyListener {
  public:
    using Visitor = std::function<void(const Connection&)>;

    struct Heard {
        std::size_t count = 0;
        bool lost = false;  ///< the buffer was full: some were not told, only a dump can say which
        bool more = false;  ///< there may be more to read
    };

    /// Of TCP, and of UDP when told to, in the network namespace of this thread. `receive_buffer` in bytes; 0 leaves the
    /// system's.
    [[nodiscard]] static Result<DestroyListener> open(bool udp, int receive_buffer);

    /// For watching.
    [[nodiscard]] int fd() const { return fd_.get(); }
    /// What the kernel really gave.
    [[nodiscard]] int receive_buffer() const;

    /// Never blocks. Reads `most` notifications at most, so that others get their turn.
    Result<Heard> receive(std::size_t most, const Visitor& visitor);

  private:
    explicit DestroyListener(UniqueFd fd);

    UniqueFd fd_;
    std::vector<std::byte> buffer_;
};

}  // namespace flowd::diag
