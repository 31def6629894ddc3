// SPDX-License-Identifier: Apache-2.0
// lib/net/no_ipv6.hpp: kernels without IPv6, either built without it or booted with ipv6.disable=1. Any thread.
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
    std::string warning;  ///< log it unless it is empty
};
/// The endpoint to listen at: without IPv6, `::`, which includes IPv4, is replaced by 0.0.0.0. Others are unchanged.
[[nodiscard]] ListeningEndpoint listening_endpoint(const Endpoint& wanted);

}  // namespace flowd::net
