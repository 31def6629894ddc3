// SPDX-License-Identifier: Apache-2.0
// lib/net/receive_buffer.hpp: the receive buffer that an instance asked the kernel for. Instance's thread.
#pragma once

#include <cstdint>
#include <string>

#include "flowd/host.hpp"

namespace flowd::net {

/// Warns if the kernel granted less than the option `receiveBuffer` asks for: it limits SO_RCVBUF in silence. `of`: the
/// socket, for the log. Both in bytes.
inline void check_receive_buffer(const Host& host, const std::string& of, int granted, std::uint32_t asked) {
    if (granted < 0 || static_cast<std::uint32_t>(granted) >= asked) return;
    const std::string bytes = std::to_string(asked);
    host.warning("the kernel granted " + of + " a receive buffer of " + std::to_string(granted) + " of the " + bytes +
                 " bytes of receiveBuffer: bursts may be lost; allow more with sysctl net.core.rmem_max=" + bytes +
                 " or CAP_NET_ADMIN, or lower receiveBuffer");
}

}  // namespace flowd::net
