// SPDX-License-Identifier: Apache-2.0
// What needs no daemon: `flowd-cpp firefly send` proves the path to a collector, `flowd-cpp firefly listen` is one for a
// moment.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "backends/firefly/options.hpp"
#include "flowd/module.hpp"

namespace flowd::firefly_backend {

struct SendOptions {
    std::vector<std::string> to;
    std::uint16_t port = firefly_port;
    std::uint32_t experiment = 0;
    std::uint32_t activity = 0;
    bool bare = false;
    std::chrono::seconds wait{2};
    static const Table<SendOptions>& table();
};

/// Sends a start and an end to each collector: of `to`, or else of the configuration. They tell of the very flow of UDP
/// that carries them, so that nothing is made up. Prints what became of each; an error when one could not be reached.
Result<void> send_fireflies(SendOptions options, ToolCall& call);

struct ListenOptions {
    Address address;
    std::uint16_t port = firefly_port;
    std::uint32_t count = 0;
    std::chrono::seconds seconds{0};
    static const Table<ListenOptions>& table();
};

/// Prints each datagram with what it says, or why it is no firefly, and whether the reference collector would take it.
Result<void> listen_for_fireflies(ListenOptions options, ToolCall& call);

}  // namespace flowd::firefly_backend
