// SPDX-License-Identifier: Apache-2.0
// lib/diag/socket.hpp: lists the kernel's sockets (sock_diag(7)). Not bound to a thread, not thread-safe.
#pragma once

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "flowd/result.hpp"
#include "lib/diag/connection.hpp"
#include "lib/netlink/socket.hpp"

namespace flowd::diag {

[[nodiscard]] constexpr std::uint32_t state_bit(int state) {
    return 1u << state;
}
/// Requests an attribute, such as INET_DIAG_INFO.
[[nodiscard]] constexpr std::uint8_t extension_bit(int attribute) {
    return static_cast<std::uint8_t>(1u << (attribute - 1));
}

/// TCP states of a connection that an application still has: not listening, closed or in TIME_WAIT.
[[nodiscard]] std::uint32_t connected_states();

struct DumpRequest {
    std::uint8_t protocol = IPPROTO_TCP;
    std::uint8_t extensions = 0;  ///< extension_bit()s
    std::uint32_t states = 0;     ///< state_bit()s
};

/// One netlink socket, in the network namespace of the thread that opened it; used again for every dump.
class Socket {
  public:
    using Visitor = std::function<void(const Connection&)>;

    /// `interrupt`: a descriptor, borrowed, or -1; once it is readable, dumps end with FLOWD_STOPPED.
    [[nodiscard]] static Result<Socket> open(int interrupt = -1);

    /// Visits every socket that matches: one walk of the kernel's table for IPv4, one for IPv6. An error means that the
    /// list is incomplete. A socket that moves in the table meanwhile may be visited twice or not at all.
    Result<void> dump(const DumpRequest& request, const Visitor& visitor);

  private:
    explicit Socket(nl::Socket netlink) : netlink_(std::move(netlink)) {}
    nl::Socket netlink_;
};

}  // namespace flowd::diag
