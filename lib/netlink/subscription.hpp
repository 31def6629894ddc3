// SPDX-License-Identifier: Apache-2.0
// lib/netlink/subscription.hpp: receives the kernel's notifications of changes (netlink(7)). One thread at a time.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "lib/netlink/socket.hpp"

namespace flowd::nl {

struct SubscriptionOptions {
    int receive_buffer = 0;                    ///< bytes; 0: the system's default
    std::span<const sock_filter> filter = {};  ///< classic BPF that decides which notifications are received
};

/// In the network namespace of the thread that opened it. Never blocks.
class Subscription {
  public:
    struct Received {
        std::size_t count = 0;  ///< notifications
        bool lost = false;      ///< the kernel dropped some: only a dump shows the present state
        bool more = false;      ///< there may be more to read
    };

    /// `groups`: a bit for each multicast group, RTMGRP_* or group_bit().
    [[nodiscard]] static Result<Subscription> open(int bus, std::uint32_t groups, const SubscriptionOptions& options = {});

    [[nodiscard]] int fd() const { return mnl_socket_get_fd(handle_.get()); }  ///< for watching
    /// The size that the kernel granted.
    [[nodiscard]] int receive_buffer() const;

    /// Calls `each` for each notification that has come, at most about `most`.
    Result<Received> receive(const Socket::Visitor& each, std::size_t most = std::numeric_limits<std::size_t>::max());
    /// Discards the notifications that have come. True: there were any, or some were lost.
    bool drain();

  private:
    explicit Subscription(Handle handle) : handle_(std::move(handle)) {}
    Handle handle_;
};

/// The bit of a group that is numbered from 1, such as SKNLGRP_INET_TCP_DESTROY.
[[nodiscard]] constexpr std::uint32_t group_bit(unsigned group) {
    return 1u << (group - 1);
}

}  // namespace flowd::nl
