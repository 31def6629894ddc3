// SPDX-License-Identifier: Apache-2.0
// A socket of the daemon, as FakeHost::add_socket takes it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "flowd/abi/ext/descriptors.h"
#include "flowd/address.hpp"

namespace flowd::net {

inline flowd_socket own_socket(std::uint8_t protocol, const Endpoint& local, const Endpoint& remote = {},
                               std::uint32_t flags = 0, std::uint64_t cookie = 1) {
    flowd_socket socket{};
    socket.size = sizeof socket;
    socket.flags = flags;
    socket.cookie = cookie;
    socket.protocol = protocol;
    std::copy_n(local.address.bytes().begin(), 16, socket.local);
    std::copy_n(remote.address.bytes().begin(), 16, socket.remote);
    socket.local_port = local.port;
    socket.remote_port = remote.port;
    return socket;
}

}  // namespace flowd::net
