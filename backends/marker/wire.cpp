// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/wire.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "bpf/marker_types.h"

namespace flowd::marker {
namespace {

constexpr std::size_t vlan_tag = 4;       // IEEE 802.1Q
constexpr std::size_t max_vlan_tags = 2;  // as the marker
constexpr std::size_t ipv4_header = 20;   // RFC 791 section 3.1, without options
constexpr std::size_t ipv6_header = 40;   // RFC 8200 section 3
constexpr std::size_t icmp_header = 8;    // RFC 4443 section 2.1, with the four bytes before the quote
constexpr std::size_t max_extension_headers = 8;
// bpf/lib/option_header.h: the option with the tag is the first one of its header.
constexpr std::uint8_t tag_option = 0x1e, tag_length = 3;
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

bool is_echo(std::span<const std::uint8_t> rest, std::uint8_t protocol) {
    if (rest.empty()) return false;
    if (protocol == IPPROTO_ICMP) return rest[0] == 8 || rest[0] == 0;  // RFC 792
    return protocol == IPPROTO_ICMPV6 && (rest[0] == echo_request || rest[0] == echo_reply);
}

/// False: the packet ends before the ports.
bool read_ports(std::span<const std::uint8_t> rest, WirePacket& packet) {
    if (packet.is_later_fragment) return true;
    if (has_ports(packet.protocol)) {
        if (rest.size() < 4) return false;
        packet.source_port = word_at(rest, 0);
        packet.destination_port = word_at(rest, 2);
        if (packet.protocol == IPPROTO_UDP && rest.size() >= 6) packet.transport_length = word_at(rest, 4);
    } else if (is_echo(rest, packet.protocol)) {
        if (rest.size() >= 6) packet.source_port = packet.destination_port = word_at(rest, 4);
    } else {
        packet.is_control = packet.protocol == IPPROTO_ICMPV6;
    }
    return true;
}

/// The tag in an extension header of at least eight bytes.
std::optional<std::uint32_t> tag_in(std::span<const std::uint8_t> header) {
    if (header[2] != tag_option || header[3] != tag_length) return std::nullopt;
    return static_cast<std::uint32_t>(header[4]) << 16 | static_cast<std::uint32_t>(header[5]) << 8 | header[6];
}

std::optional<WirePacket> read_ipv4(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < ipv4_header) return std::nullopt;
    const std::size_t length = std::size_t{bytes[0] & 0x0fu} * 4;
    if (length < ipv4_header || bytes.size() < length) return std::nullopt;
    WirePacket packet;
    packet.is_ipv4 = true;
    packet.dscp = bytes[1] >> 2;
    packet.protocol = bytes[9];
    packet.is_later_fragment = (word_at(bytes, 6) & 0x1fff) != 0;
    packet.source[10] = packet.source[11] = packet.destination[10] = packet.destination[11] = 0xff;
    std::copy_n(bytes.begin() + 12, 4, packet.source.begin() + 12);
    std::copy_n(bytes.begin() + 16, 4, packet.destination.begin() + 12);
    if (!read_ports(bytes.subspan(length), packet)) return std::nullopt;
    return packet;
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

std::span<const std::uint8_t> ip_packet_of(const Frame& frame) {
    std::span<const std::uint8_t> rest = frame.bytes;
    if (!frame.is_ethernet) return rest.subspan(std::min(frame.network, rest.size()));
    if (rest.size() < ETH_HLEN) return {};
    std::uint16_t type = word_at(rest, ETH_HLEN - 2);
    rest = rest.subspan(ETH_HLEN);
    for (std::size_t tags = 0; type == ETH_P_8021Q || type == ETH_P_8021AD; ++tags) {
        if (tags == max_vlan_tags || rest.size() < vlan_tag) return {};
        type = word_at(rest, 2);
        rest = rest.subspan(vlan_tag);
    }
    return type == ETH_P_IPV6 || type == ETH_P_IP ? rest : std::span<const std::uint8_t>();
}

std::optional<WirePacket> read_ip(std::span<const std::uint8_t> bytes) {
    return !bytes.empty() && bytes[0] >> 4 == 4 ? read_ipv4(bytes) : read_ipv6(bytes);
}

std::optional<QuotedError> read_error(std::span<const std::uint8_t> message) {
    // RFC 4443 section 2.1: the types of errors are below 128.
    if (message.size() < icmp_header || message[0] >= 128) return std::nullopt;
    const auto quoted = read_ipv6(message.subspan(icmp_header));
    if (!quoted) return std::nullopt;
    return QuotedError{message[0], message[1], *quoted};
}

std::optional<WirePacket> read_ipv6(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < ipv6_header || bytes[0] >> 4 != 6) return std::nullopt;
    WirePacket packet;
    packet.dscp = static_cast<std::uint8_t>((bytes[0] << 4 | bytes[1] >> 4) >> 2 & 0x3f);
    packet.label = static_cast<std::uint32_t>(bytes[1] << 16 | bytes[2] << 8 | bytes[3]) & MARKER_LABEL_MASK;
    std::copy_n(bytes.begin() + 8, 16, packet.source.begin());
    std::copy_n(bytes.begin() + 24, 16, packet.destination.begin());
    packet.protocol = bytes[6];
    std::span<const std::uint8_t> rest = bytes.subspan(ipv6_header);
    bool is_fragment = false;
    for (std::size_t headers = 0; is_extension(packet.protocol) && !packet.is_later_fragment; ++headers) {
        if (headers == max_extension_headers || rest.size() < 8) return std::nullopt;
        std::size_t length = (std::size_t{rest[1]} + 1) * 8;
        if (packet.protocol == IPPROTO_AH) length = (std::size_t{rest[1]} + 2) * 4;  // RFC 4302 section 2.2
        if (packet.protocol == IPPROTO_FRAGMENT) {
            length = 8;
            is_fragment = (word_at(rest, 2) & 0xfff9) != 0;
            packet.is_later_fragment = (word_at(rest, 2) & 0xfff8) != 0;
        }
        if (rest.size() < length) return std::nullopt;
        // The marker inserts its headers before all others.
        if (headers == 0 && packet.protocol == IPPROTO_HOPOPTS) {
            packet.begins_with_options = true;
            packet.hop_by_hop = tag_in(rest);
        }
        if (packet.protocol == IPPROTO_DSTOPTS && (headers == 0 || (headers == 1 && packet.hop_by_hop)))
            packet.destination_options = tag_in(rest);
        packet.protocol = rest[0];
        rest = rest.subspan(length);
    }
    if (!read_ports(rest, packet)) return std::nullopt;
    packet.is_control = packet.is_control && !is_fragment;
    return packet;
}

}  // namespace flowd::marker
