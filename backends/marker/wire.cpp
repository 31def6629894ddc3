// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/wire.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "bpf/marker_types.h"

namespace flowd::marker {
namespace {

constexpr std::size_t ipv6_header = 40;  // RFC 8200 section 3
constexpr std::size_t max_extension_headers = 8;
constexpr std::uint8_t mobility = 135;                        // RFC 6275
constexpr std::uint8_t udp_lite = 136;                        // RFC 3828
constexpr std::uint8_t echo_request = 128, echo_reply = 129;  // RFC 4443 section 4

std::uint16_t word_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

bool is_extension(std::uint8_t next) {
    return next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT ||
           next == IPPROTO_AH || next == mobility;
}

bool has_ports(std::uint8_t protocol) {
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
           protocol == udp_lite;
}

/// False: the packet ends before the ports.
bool read_ports(std::span<const std::uint8_t> rest, WirePacket& packet) {
    if (packet.is_later_fragment) return true;
    if (has_ports(packet.protocol)) {
        if (rest.size() < 4) return false;
        packet.source_port = word_at(rest, 0);
        packet.destination_port = word_at(rest, 2);
        if (packet.protocol == IPPROTO_UDP && rest.size() >= 6) packet.transport_length = word_at(rest, 4);
    } else if (packet.protocol == IPPROTO_ICMPV6 && rest.size() >= 6 &&
               (rest[0] == echo_request || rest[0] == echo_reply)) {
        packet.source_port = packet.destination_port = word_at(rest, 4);
    }
    return true;
}

}  // namespace

flow_key WirePacket::key() const {
    __u64 from[2], to[2];
    std::memcpy(from, source.data(), sizeof from);
    std::memcpy(to, destination.data(), sizeof to);
    flow_key made{};
    flow_key_make(&made, from, to, htons(source_port), htons(destination_port), protocol);
    return made;
}

std::optional<WirePacket> read_ipv6(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < ipv6_header || bytes[0] >> 4 != 6) return std::nullopt;
    WirePacket packet;
    packet.label = static_cast<std::uint32_t>(bytes[1] << 16 | bytes[2] << 8 | bytes[3]) & MARKER_LABEL_MASK;
    std::copy_n(bytes.begin() + 8, 16, packet.source.begin());
    std::copy_n(bytes.begin() + 24, 16, packet.destination.begin());
    packet.protocol = bytes[6];
    std::span<const std::uint8_t> rest = bytes.subspan(ipv6_header);
    for (std::size_t headers = 0; is_extension(packet.protocol) && !packet.is_later_fragment; ++headers) {
        if (headers == max_extension_headers || rest.size() < 8) return std::nullopt;
        std::size_t length = (std::size_t{rest[1]} + 1) * 8;
        if (packet.protocol == IPPROTO_AH) length = (std::size_t{rest[1]} + 2) * 4;  // RFC 4302 section 2.2
        if (packet.protocol == IPPROTO_FRAGMENT) {
            length = 8;
            packet.is_later_fragment = (word_at(rest, 2) & 0xfff8) != 0;
        }
        packet.protocol = rest[0];
        if (rest.size() < length) return std::nullopt;
        rest = rest.subspan(length);
    }
    if (!read_ports(rest, packet)) return std::nullopt;
    return packet;
}

}  // namespace flowd::marker
