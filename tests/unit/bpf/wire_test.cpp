// SPDX-License-Identifier: Apache-2.0
// What `verify` reads of captured packets and of the packets that ICMPv6 errors quote: hostile input.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <vector>

#include "backends/marker/wire.hpp"
#include "flowd/address.hpp"
#include "lib/bpf/flow_key.hpp"

namespace flowd::marker {
namespace {

using Bytes = std::vector<std::uint8_t>;

const Endpoint from{*Address::parse("2001:db8::1"), 40000};
const Endpoint to{*Address::parse("2001:db8:ffff::2"), 5201};

Bytes header(std::uint8_t next, std::uint32_t label = 0x30008) {
    Bytes bytes(8);
    bytes[0] = 0x6b;  // traffic class 0xbc, whose lower half shares an octet with the label
    bytes[1] = static_cast<std::uint8_t>(0xc0 | label >> 16);
    bytes[2] = static_cast<std::uint8_t>(label >> 8);
    bytes[3] = static_cast<std::uint8_t>(label);
    bytes[6] = next;
    for (const Endpoint& end : {from, to})
        bytes.insert(bytes.end(), end.address.bytes().begin(), end.address.bytes().end());
    return bytes;
}

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

const Bytes udp{40000 >> 8, 40000 & 0xff, 5201 >> 8, 5201 & 0xff, 0, 20, 0, 0};

Bytes option_header(std::uint8_t next) {
    return {next, 0, 1, 4, 0, 0, 0, 0};
}

TEST(WireTest, ThePacketOfAFlowHasItsLabelAndItsKey) {
    const auto packet = read_ipv6(header(IPPROTO_UDP) + udp);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->label, 0x30008u);
    EXPECT_EQ(packet->source_port, 40000);
    EXPECT_EQ(packet->destination_port, 5201);
    EXPECT_EQ(packet->transport_length, 20);
    const flow_key key = packet->key(), expected = bpf::to_flow_key(make_key(from, to, IPPROTO_UDP));
    EXPECT_EQ(std::memcmp(&key, &expected, sizeof key), 0);
}

TEST(WireTest, APacketThatEndsBeforeItsPortsIsNone) {
    const Bytes whole = header(IPPROTO_HOPOPTS) + option_header(IPPROTO_UDP) + udp;
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_EQ(read_ipv6(std::span(whole).first(size)).has_value(), size >= 40 + 8 + 4) << size;
}

TEST(WireTest, ExtensionHeadersAreWalkedUpToEight) {
    Bytes bytes = header(IPPROTO_DSTOPTS);
    for (int i = 0; i < 7; ++i) bytes = bytes + option_header(IPPROTO_DSTOPTS);
    EXPECT_TRUE(read_ipv6(bytes + option_header(IPPROTO_UDP) + udp));
    EXPECT_FALSE(read_ipv6(bytes + option_header(IPPROTO_DSTOPTS) + option_header(IPPROTO_UDP) + udp));
}

TEST(WireTest, ALengthThatReachesBehindThePacketIsRefused) {
    EXPECT_FALSE(read_ipv6(header(IPPROTO_DSTOPTS) + Bytes{IPPROTO_UDP, 255, 0, 0, 0, 0, 0, 0} + udp));
}

TEST(WireTest, ALaterFragmentHasNoPorts) {
    const auto packet = read_ipv6(header(IPPROTO_FRAGMENT) + Bytes{IPPROTO_UDP, 0, 0x05, 0xa8, 0, 0, 0, 1});
    ASSERT_TRUE(packet);
    EXPECT_TRUE(packet->is_later_fragment);
    EXPECT_EQ(packet->protocol, IPPROTO_UDP);
    EXPECT_EQ(packet->source_port, 0);
}

TEST(WireTest, AnEchoMessageHasItsIdentifierInBothPorts) {
    const auto packet = read_ipv6(header(IPPROTO_ICMPV6) + Bytes{128, 0, 0, 0, 0x12, 0x34, 0, 1});
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->source_port, 0x1234);
    EXPECT_EQ(packet->destination_port, 0x1234);
}

TEST(WireTest, Ipv4IsNone) {
    Bytes bytes = header(IPPROTO_UDP) + udp;
    bytes[0] = 0x45;
    EXPECT_FALSE(read_ipv6(bytes));
}

}  // namespace
}  // namespace flowd::marker
