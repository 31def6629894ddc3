// SPDX-License-Identifier: Apache-2.0
// lib/diag/destroy_listener.hpp: hears of every socket that the kernel frees. Thread-aware, not thread-safe.
// Source: include/uapi/linux/sock_diag.h (SKNLGRP_*), net/core/sock_diag.c.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "flowd/result.hpp"
#include "lib/diag/connection.hpp"
#include "lib/netlink/subscription.hpp"

namespace flowd::diag {

/// A connection is freed when the application has closed it and TCP needs it no longer: at the latest when it goes to
/// TIME_WAIT. What is told has the last TCP information, but neither user nor control group.
class DestroyListener {
  public:
    using Visitor = std::function<void(const Connection&)>;

    using Heard = nl::Subscription::Received;

    /// Of TCP, and of UDP when told to, in the network namespace of this thread. `receive_buffer` in bytes; 0 leaves the
    /// system's.
    [[nodiscard]] static Result<DestroyListener> open(bool udp, int receive_buffer);

    /// For watching.
    [[nodiscard]] int fd() const { return subscription_.fd(); }
    /// What the kernel really gave.
    [[nodiscard]] int receive_buffer() const { return subscription_.receive_buffer(); }

    /// Never blocks. Reads `most` notifications at most, so that others get their turn.
    Result<Heard> receive(std::size_t most, const Visitor& visitor);

  private:
    explicit DestroyListener(nl::Subscription subscription) : subscription_(std::move(subscription)) {}

    nl::Subscription subscription_;
};

}  // namespace flowd::diag
