// SPDX-License-Identifier: Apache-2.0
// lib/diag/destroy_listener.hpp: receives a notification for every socket that the kernel frees. Thread-aware, not
// thread-safe. Source: include/uapi/linux/sock_diag.h (SKNLGRP_*), net/core/sock_diag.c.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "flowd/result.hpp"
#include "lib/diag/connection.hpp"
#include "lib/netlink/subscription.hpp"

namespace flowd::diag {

/// A socket is freed when the application has closed it and TCP does not need it any more: at the latest when it enters
/// TIME_WAIT. The notification has the last TCP information, but neither user nor control group.
class DestroyListener {
  public:
    using Visitor = std::function<void(const Connection&)>;

    using Heard = nl::Subscription::Received;

    /// For TCP, and for UDP if `udp`, in the network namespace of this thread. `receive_buffer` in bytes; 0: the system's
    /// default.
    [[nodiscard]] static Result<DestroyListener> open(bool udp, int receive_buffer);

    /// For watching.
    [[nodiscard]] int fd() const { return subscription_.fd(); }
    /// The size that the kernel granted.
    [[nodiscard]] int receive_buffer() const { return subscription_.receive_buffer(); }

    /// Never blocks. Reads about `most` notifications, so that other work on the thread is not delayed.
    Result<Heard> receive(std::size_t most, const Visitor& visitor);

  private:
    explicit DestroyListener(nl::Subscription subscription) : subscription_(std::move(subscription)) {}

    nl::Subscription subscription_;
};

}  // namespace flowd::diag
