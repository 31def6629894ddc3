// SPDX-License-Identifier: Apache-2.0
// lib/watch/announced.hpp: the events of a connection that a plugin has found. Pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "flowd/event.hpp"

namespace flowd::watch {

/// What there is to say of it, from its start to its end.
struct Announced {
    flowd_key key{};  ///< this host's end as the source
    flowd_tag tag{};
    std::int64_t start_ns = 0;
    std::uint8_t initiator = FLOWD_INITIATOR_UNKNOWN;
};

[[nodiscard]] Event start_of(const Announced& connection);
/// Never before its start.
[[nodiscard]] Event end_of(const Announced& connection, const std::optional<flowd_usage>& usage, std::int64_t end_ns);

}  // namespace flowd::watch
