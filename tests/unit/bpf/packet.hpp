// SPDX-License-Identifier: Apache-2.0
// Builds frames byte by byte, from the RFCs and not from the code under test.
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace flowd::test {

using Bytes = std::vector<std::uint8_t>;

inline void put8(Bytes& out, unsigned value) {
    out.push_back(static_cast<std::uint8_t>(value));
}
inline void put16(Bytes& out, unsigned value) {
    put8(out, value >> 8 & 0xff);
    put8(out, value & 0xff);
}
inline void put32(Bytes& out, std::uint32_t value) {
    put16(out, value >> 16);
    put16(out, value & 0xffff);
}
inline void append(Bytes& out, const Bytes& more) {
    out.insert(out.end(), more.begin(), more.end());
}

inline Bytes ipv6(std::string_view text) {
    Bytes address(16);
    inet_pton(AF_INET6, std::string(text).c_str(), address.data());
    return address;
}

inline Bytes ethernet(unsigned type) {
    Bytes out{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    put16(out, type);
    return out;
}

/// Behind the Ethernet header: tag control information and the type of what follows.
inline Bytes vlan(unsigned id, unsigned type) {
    Bytes out;
    put16(out, 5u << 13 | id);
    put16(out, type);
    return out;
}

struct Ip6 {
    std::string source = "2001:db8::1";
    std::string destination = "2001:db8::2";
    unsigned traffic_class = 0;
    std::uint32_t label = 0;
    unsigned next = 6;
    int payload_length = -1;  ///< -1: the real one

    [[nodiscard]] Bytes over(const Bytes& payload) const {
        Bytes out;
        put32(out, 6u << 28 | traffic_class << 20 | label);
        put16(out, payload_length < 0 ? static_cast<unsigned>(payload.size()) : static_cast<unsigned>(payload_length));
        put8(out, next);
        put8(out, 64);
        append(out, ipv6(source));
        append(out, ipv6(destination));
        append(out, payload);
        return out;
    }
};

inline Bytes tcp(unsigned source_port, unsigned destination_port, std::size_t data = 20, unsigned flags = 0x10) {
    Bytes out;
    put16(out, source_port);
    put16(out, destination_port);
    put32(out, 1);
    put32(out, 2);
    put16(out, 0x5000 | flags);
    put16(out, 1024);
    put32(out, 0xabcd0000);  // a checksum that must stay
    out.resize(out.size() + data, 'x');
    return out;
}

inline Bytes udp(unsigned source_port, unsigned destination_port, std::size_t data = 20) {
    Bytes out;
    put16(out, source_port);
    put16(out, destination_port);
    put16(out, static_cast<unsigned>(8 + data));
    put16(out, 0xabcd);
    out.resize(out.size() + data, 'x');
    return out;
}

/// A hop-by-hop, destination options or routing header of 8 * (length + 1) bytes, padded.
inline Bytes extension(unsigned next, unsigned length, const Bytes& payload) {
    Bytes out;
    put8(out, next);
    put8(out, length);
    out.resize(8 * (length + 1), 0);
    append(out, payload);
    return out;
}

inline Bytes fragment(unsigned next, unsigned offset, bool more, const Bytes& payload, std::uint32_t id = 0x01020304) {
    Bytes out;
    put8(out, next);
    put8(out, 0);
    put16(out, offset << 3 | (more ? 1u : 0u));
    put32(out, id);
    append(out, payload);
    return out;
}

inline Bytes operator+(Bytes left, const Bytes& right) {
    append(left, right);
    return left;
}

/// The label of the IPv6 header at an offset.
inline std::uint32_t label_at(const Bytes& frame, std::size_t offset) {
    return (static_cast<std::uint32_t>(frame[offset + 1]) << 16 | static_cast<std::uint32_t>(frame[offset + 2]) << 8 |
            frame[offset + 3]) &
           0xfffff;
}

/// The same frame with another label.
inline Bytes with_label(Bytes frame, std::size_t offset, std::uint32_t label) {
    frame[offset + 1] = static_cast<std::uint8_t>((frame[offset + 1] & 0xf0) | (label >> 16 & 0xf));
    frame[offset + 2] = static_cast<std::uint8_t>(label >> 8 & 0xff);
    frame[offset + 3] = static_cast<std::uint8_t>(label & 0xff);
    return frame;
}

}  // namespace flowd::test
