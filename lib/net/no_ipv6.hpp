// SPDX-License-Identifier: Apache-2.0
// lib/net/no_ipv6.hpp: kernels without IPv6: built without, or booted with ipv6.disable=1. Any thread.
#pragma once

#include <string>

#include "flowd/address.hpp"
#include "flowd/result.hpp"

namespace flowd::net {

/// Whether the kernel refuses IPv6 sockets (EAFNOSUPPORT).
[[nodiscard]] bool lacks_ipv6();

/// The error of a socket that the kernel refused with `number`. `what`: "cannot receive at udp [::1]:10514".
[[nodiscard]] Error socket_error(int number, const std::string& what);

struct ListeningEndpoint {
    Endpoint endpoint;
    std::string warning;  ///< to be logged, unless it is empty
};
/// Where to listen: `::` means IPv4 as well, so without IPv6 it is 0.0.0.0. Any other address stays as it is.
[[nodiscard]] ListeningEndpoint listening_endpoint(const Endpoint& wanted);

}  // namespace flowd::net
