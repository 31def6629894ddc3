// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_key.hpp: what the flow table needs of keys in addition to flowd/key.hpp.
#pragma once

#include <cstdint>

#include "flowd/key.hpp"

namespace flowd::core {

[[nodiscard]] inline flowd_usage reversed(const flowd_usage& usage) {
    return {usage.bytes_received, usage.bytes_sent, usage.packets_received, usage.packets_sent, usage.source, usage.known};
}

/// Where addresses are only unique on one link: fe80::/10 and ff02::/16.
[[nodiscard]] inline bool has_zone(const std::uint8_t (&address)[16]) {
    return (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) || (address[0] == 0xff && address[1] == 0x02);
}

/// One form for what flowd_key allows several for. `own_scope`: the inode number of the daemon's network namespace.
inline void normalise(flowd_key& key, std::uint32_t own_scope) {
    if (key.scope == own_scope) key.scope = 0;
    if (!has_zone(key.source) && !has_zone(key.destination)) key.zone = 0;
}

/// FLOWD_LOCAL_* and FLOWD_INITIATOR_* name an end by 1 and 2; the rest means the same from both sides.
[[nodiscard]] inline std::uint8_t reversed_end(std::uint8_t end) {
    return end == 1 || end == 2 ? static_cast<std::uint8_t>(3 - end) : end;
}

}  // namespace flowd::core
