// SPDX-License-Identifier: Apache-2.0
// backends/marker/wire.hpp: the fields of captured packets, and of those that ICMPv6 errors quote. Pure; input is hostile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "bpf/lib/flow_hash.h"

namespace flowd::marker {

struct WirePacket {
    std::uint32_t label = 0;  ///< of IPv6
    std::uint8_t dscp = 0;
    bool is_ipv4 = false;
    std::array<std::uint8_t, 16> source{}, destination{};  ///< IPv4 as ::ffff:a.b.c.d
    std::uint16_t source_port = 0, destination_port = 0;   ///< host order; of an echo message: its identifier
    std::uint16_t transport_length = 0;                    ///< of UDP: the length in its header; otherwise 0
    std::uint8_t protocol = 0;                             ///< the one after the extension headers
    bool is_later_fragment = false;                        ///< has no ports
    bool is_control = false;                               ///< ICMPv6 other than echo
    bool begins_with_options = false;                      ///< its first extension header is one of hop-by-hop options
    /// The tag that the marker wrote into such a header: experiment << 8 | activity.
    std::optional<std::uint32_t> hop_by_hop, destination_options;

    /// The key as the BPF program builds it (bpf/lib/parse.h).
    [[nodiscard]] flow_key key() const;
};

/// A captured frame.
struct Frame {
    std::span<const std::uint8_t> bytes;
    bool is_ethernet = true;
    std::size_t network = 0;  ///< of other devices: where the IP header begins
};

/// What follows the Ethernet header and at most two VLAN tags, as the marker finds it. Empty: no IP packet.
[[nodiscard]] std::span<const std::uint8_t> ip_packet_of(const Frame& frame);

/// `bytes` begin with an IP header and may end anywhere. Empty: no IP, or they end before the ports.
[[nodiscard]] std::optional<WirePacket> read_ip(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::optional<WirePacket> read_ipv6(std::span<const std::uint8_t> bytes);

/// An ICMPv6 error, and the packet that it quotes (RFC 4443 section 3).
struct QuotedError {
    std::uint8_t type = 0, code = 0;
    WirePacket packet;
};
/// `message` begins with the ICMPv6 header. Empty: no error, or its quote ends before the ports.
[[nodiscard]] std::optional<QuotedError> read_error(std::span<const std::uint8_t> message);

}  // namespace flowd::marker
