// SPDX-License-Identifier: Apache-2.0
// The loop of the tools that receive datagrams. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "flowd/address.hpp"
#include "flowd/module.hpp"
#include "lib/net/receive_batch.hpp"

namespace flowd::firefly_backend {

struct Receiving {
    Endpoint at;
    std::uint32_t count = 0;          ///< ends after so many; 0: no limit
    std::chrono::seconds seconds{0};  ///< ends after this time; 0: no limit
};

struct Received {
    std::uint32_t counted = 0;
    bool by_user = false;  ///< the user interrupted it, or the output was closed
};

enum class Taken : std::uint8_t { counted, ignored, stop };

/// Receives until the count, the time or the user ends it.
[[nodiscard]] Result<Received> receive_datagrams(const Receiving& receiving, ToolCall& call,
                                                 const std::function<Taken(const net::Datagram&)>& take);

}  // namespace flowd::firefly_backend
