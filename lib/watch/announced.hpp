// SPDX-License-Identifier: Apache-2.0
// lib/watch/announced.hpp: the flow events of a connection that a plugin has found. Pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "flowd/event.hpp"

namespace flowd::watch {

/// CLOCK_MONOTONIC, which BPF programs use and which cannot be set.
[[nodiscard]] std::int64_t monotonic_ns();
/// Converts to CLOCK_REALTIME by the present difference of the two clocks.
[[nodiscard]] std::int64_t unix_time_of(std::int64_t monotonic_ns);

/// A connection from its start to its end. Its duration is measured by CLOCK_MONOTONIC, because CLOCK_REALTIME may be set
/// meanwhile.
struct Announced {
    flowd_key key{};  ///< the source is this host
    flowd_tag tag{};
    std::int64_t start_ns = 0;       ///< monotonic
    std::int64_t start_unix_ns = 0;  ///< unix_time_of(start_ns) when it was found
    std::uint8_t initiator = FLOWD_INITIATOR_UNKNOWN;
};

[[nodiscard]] Event start_of(const Announced& connection);
/// `end_ns`: monotonic. Never before its start.
[[nodiscard]] Event end_of(const Announced& connection, const std::optional<flowd_usage>& usage, std::int64_t end_ns);

}  // namespace flowd::watch
