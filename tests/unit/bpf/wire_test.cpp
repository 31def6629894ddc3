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

Bytes tag_header(std::uint8_t next) {
    return {next, 0, 0x1e, 3, 0, 3, 2, 0};  // experiment 3, activity 2
}

TEST(WireTest, TheTagsOfExtensionHeadersThatTheMarkerInsertsAreRead) {
    const auto both = read_ipv6(header(IPPROTO_HOPOPTS) + tag_header(IPPROTO_DSTOPTS) + tag_header(IPPROTO_UDP) + udp);
    ASSERT_TRUE(both);
    EXPECT_EQ(both->hop_by_hop, 0x302u);
    EXPECT_EQ(both->destination_options, 0x302u);
    EXPECT_EQ(both->source_port, 40000);
    const auto destination = read_ipv6(header(IPPROTO_DSTOPTS) + tag_header(IPPROTO_UDP) + udp);
    EXPECT_EQ(destination->hop_by_hop, std::nullopt);
    EXPECT_EQ(destination->destination_options, 0x302u);
    // Options of an application: not first, or others.
    const auto other = read_ipv6(header(IPPROTO_HOPOPTS) + option_header(IPPROTO_DSTOPTS) + tag_header(IPPROTO_UDP) + udp);
    EXPECT_TRUE(other->begins_with_options);
    EXPECT_EQ(other->destination_options, std::nullopt);
}

TEST(WireTest, TheDscpOfBothVersionsIsRead) {
    EXPECT_EQ(read_ipv6(header(IPPROTO_UDP) + udp)->dscp, 0xbc >> 2);
    Bytes ip{0x46, 46 << 2, 0, 0, 0, 0, 0x40, 0, 64, IPPROTO_UDP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 1, 1, 1, 1};
    const auto packet = read_ip(ip + udp);
    ASSERT_TRUE(packet);
    EXPECT_TRUE(packet->is_ipv4);
    EXPECT_EQ(packet->dscp, 46);
    EXPECT_EQ(packet->destination_port, 5201);
    const Endpoint a{*Address::parse("192.0.2.1"), 40000}, b{*Address::parse("192.0.2.2"), 5201};
    const flow_key key = packet->key(), expected = bpf::to_flow_key(make_key(a, b, IPPROTO_UDP));
    EXPECT_EQ(std::memcmp(&key, &expected, sizeof key), 0);
    const Bytes whole = ip + udp;
    for (std::size_t size = 0; size < 24 + 4; ++size) EXPECT_FALSE(read_ip(std::span(whole).first(size))) << size;
    ip[7] = 1;  // a later fragment has no ports
    EXPECT_EQ(read_ip(ip + udp)->source_port, 0);
}

TEST(WireTest, IcmpMessagesOtherThanEchoAreControlMessages) {
    EXPECT_TRUE(read_ipv6(header(IPPROTO_ICMPV6) + Bytes{135, 0, 0, 0, 0, 0, 0, 0})->is_control);
    EXPECT_FALSE(read_ipv6(header(IPPROTO_ICMPV6) + Bytes{129, 0, 0, 0, 0, 0, 0, 0})->is_control);
    EXPECT_FALSE(read_ipv6(header(IPPROTO_UDP) + udp)->is_control);
}

const Bytes link_layer(12);
const Bytes ipv6_type{0x86, 0xdd}, vlan_100{0x81, 0x00, 0x60, 0x64}, service_tag{0x88, 0xa8, 0x00, 0xc8};

TEST(FrameTest, VlanTagsInTheFrameAreSkipped) {
    const Bytes packet = header(IPPROTO_UDP) + udp;
    for (const Bytes& tags : {Bytes{}, vlan_100, service_tag + vlan_100}) {
        const Bytes frame = link_layer + tags + ipv6_type + packet;
        const auto found = ip_packet_of({frame});
        EXPECT_EQ(Bytes(found.begin(), found.end()), packet) << tags.size();
        for (std::size_t size = 0; size < frame.size() - packet.size(); ++size)
            EXPECT_TRUE(ip_packet_of({std::span(frame).first(size)}).empty()) << size;
    }
    const Bytes deep = link_layer + service_tag + vlan_100 + vlan_100 + ipv6_type + packet;
    EXPECT_TRUE(ip_packet_of({deep}).empty()) << "the marker follows two tags, too";
    EXPECT_TRUE(ip_packet_of({link_layer + vlan_100 + Bytes{0x08, 0x06} + packet}).empty()) << "ARP";
}

TEST(FrameTest, OnOtherDevicesTheKernelSaysWhereThePacketBegins) {
    const Bytes packet = header(IPPROTO_UDP) + udp, tunnel = Bytes(4) + packet;
    EXPECT_EQ(ip_packet_of({tunnel, false, 4}).size(), packet.size());
    EXPECT_TRUE(ip_packet_of({tunnel, false, 4000}).empty());
}

TEST(QuoteTest, AnErrorQuotesThePacketOrIsNone) {
    const Bytes quoted = header(IPPROTO_UDP, 0x12345) + udp, error = Bytes{3, 0, 0, 0, 0, 0, 0, 0} + quoted;
    for (std::size_t size = 0; size <= error.size(); ++size)
        EXPECT_EQ(read_error(std::span(error).first(size)).has_value(), size >= 8 + 40 + 4) << size;
    const auto read = read_error(error);
    EXPECT_EQ(read->type, 3);
    EXPECT_EQ(read->packet.label, 0x12345u);
    EXPECT_FALSE(read_error(Bytes{128, 0, 0, 0, 0, 0, 0, 0} + quoted)) << "an echo request is no error";
}

}  // namespace
}  // namespace flowd::marker
