// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_filter.hpp: how the core applies a flowd_flow_filter. Pure functions.
#pragma once

#include <cstdint>
#include <cstring>

#include "flowd/abi/ext/flows.h"

namespace flowd::core {

/// FLOWD_OK, or why it is refused.
[[nodiscard]] inline flowd_result check(const flowd_flow_filter& filter) {
    if (filter.reserved != 0 || filter.prefix_length > 128) return FLOWD_INVALID;
    return filter.members > (FLOWD_FILTER_SENDER << 1) - 1 ? FLOWD_UNSUPPORTED : FLOWD_OK;
}

[[nodiscard]] inline bool lies_in(const std::uint8_t (&address)[16], const flowd_flow_filter& filter) {
    const std::uint32_t whole = filter.prefix_length / 8;
    if (std::memcmp(address, filter.network, whole) != 0) return false;
    const std::uint32_t rest = filter.prefix_length % 8;
    return rest == 0 || (address[whole] ^ filter.network[whole]) >> (8 - rest) == 0;
}

/// Compares all members except announcer and sender.
[[nodiscard]] inline bool passes(const flowd_flow_filter& filter, const flowd_key& key, flowd_tag tag) {
    const auto counts = [&](std::uint32_t member) { return (filter.members & member) != 0; };
    if (counts(FLOWD_FILTER_EXPERIMENT) && tag.experiment != filter.tag.experiment) return false;
    if (counts(FLOWD_FILTER_ACTIVITY) && tag.activity != filter.tag.activity) return false;
    if (counts(FLOWD_FILTER_PROTOCOL) && key.protocol != filter.protocol) return false;
    if (counts(FLOWD_FILTER_PORT) && key.source_port != filter.port && key.destination_port != filter.port) return false;
    return !counts(FLOWD_FILTER_NETWORK) || lies_in(key.source, filter) || lies_in(key.destination, filter);
}

}  // namespace flowd::core
