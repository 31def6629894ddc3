// SPDX-License-Identifier: Apache-2.0
// lib/net/port_owner.hpp: finds the process that uses a port, for errors. Reads /proc; takes milliseconds. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace flowd::net {

enum class Transport { tcp, udp };

/// The remedy for a port that is in use in this network namespace: names the process, its id and its unit, as far as the
/// caller has permission to see them.
[[nodiscard]] std::string port_in_use_hint(Transport transport, std::uint16_t port);

}  // namespace flowd::net
