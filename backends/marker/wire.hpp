// SPDX-License-Identifier: Apache-2.0
// backends/marker/wire.hpp: the fields of a captured IPv6 packet, for `verify`. Pure; input is hostile.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "bpf/lib/flow_hash.h"

namespace flowd::marker {

struct WirePacket {
    std::uint32_t label = 0;
    std::array<std::uint8_t, 16> source{}, destination{};
    std::uint16_t source_port = 0, destination_port = 0;  ///< host order; of an echo message: its identifier
    std::uint16_t transport_length = 0;                   ///< of UDP: the length in its header; otherwise 0
    std::uint8_t protocol = 0;                            ///< the one after the extension headers
    bool is_later_fragment = false;                       ///< has no ports

    /// The key as the BPF program builds it (bpf/lib/parse.h).
    [[nodiscard]] flow_key key() const;
};

/// `bytes` begin with an IPv6 header and may end anywhere. Empty: no IPv6, or they end before the ports.
[[nodiscard]] std::optional<WirePacket> read_ipv6(std::span<const std::uint8_t> bytes);

}  // namespace flowd::marker
