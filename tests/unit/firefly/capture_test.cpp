// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/capture.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <sstream>
#include <string>

namespace flowd::firefly_backend {
namespace {

std::string big(std::uint32_t number, int bytes) {
    std::string text;
    for (int i = bytes; i-- > 0;) text += static_cast<char>(number >> (8 * i) & 255);
    return text;
}
std::string little(std::uint32_t number) {
    const std::string text = big(number, 4);
    return {text.rbegin(), text.rend()};
}

std::string udp(const std::string& payload, std::uint16_t length) {
    return big(5000, 2) + big(10514, 2) + big(length, 2) + big(0, 2) + payload;
}
std::string udp(const std::string& payload) {
    return udp(payload, static_cast<std::uint16_t>(payload.size() + 8));
}
const std::string addresses = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01" +
                              std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x02";
std::string ipv6(int next, const std::string& payload) {
    return "\x60" + std::string(3, '\0') + big(static_cast<std::uint32_t>(payload.size()), 2) +
           big(static_cast<std::uint32_t>(next), 1) + "\x40" + addresses + payload;
}
std::string ipv4(const std::string& payload, std::uint16_t fragment = 0) {
    return "\x45" + std::string(1, '\0') + big(static_cast<std::uint32_t>(payload.size() + 20), 2) + big(1, 2) +
           big(fragment, 2) + "\x40\x11" + big(0, 2) + "\xc0" + std::string("\x00\x02\x01", 3) + "\xc0" +
           std::string("\x00\x02\x02", 3) + payload;
}
std::string ethernet(int type, const std::string& payload) {
    return std::string(12, 'm') + big(static_cast<std::uint32_t>(type), 2) + payload;
}

TEST(DatagramIn, IsFoundBehindEachKindOfLink) {
    const std::string packet = ipv6(17, udp("hello"));
    for (const auto& [link, bytes] :
         {std::pair(1u, ethernet(0x86dd, packet)), std::pair(1u, ethernet(0x8100, big(7, 2) + big(0x86dd, 2) + packet)),
          std::pair(1u, ethernet(0x88a8, big(7, 2) + big(0x8100, 2) + big(7, 2) + big(0x86dd, 2) + packet)),
          std::pair(113u, std::string(14, 's') + big(0x86dd, 2) + packet),
          std::pair(276u, big(0x86dd, 2) + std::string(18, 's') + packet), std::pair(101u, packet), std::pair(229u, packet),
          std::pair(0u, little(10) + packet)}) {
        const auto found = datagram_in(link, bytes);
        ASSERT_TRUE(found) << link;
        EXPECT_EQ(found->payload, "hello");
        EXPECT_EQ(found->source.to_string(), "[2001:db8::1]:5000");
        EXPECT_EQ(found->destination.to_string(), "[2001:db8::2]:10514");
        EXPECT_FALSE(found->is_fragment);
        EXPECT_FALSE(found->is_incomplete);
        for (std::size_t size = 0; size + 5 < bytes.size(); ++size)
            EXPECT_FALSE(datagram_in(link, std::string_view(bytes).substr(0, size))) << link << " " << size;
    }
    EXPECT_FALSE(datagram_in(147, packet)) << "an unknown link type";
    EXPECT_FALSE(datagram_in(1, ethernet(0x0806, packet))) << "ARP";
}

TEST(DatagramIn, IsFoundInIpv4AndBehindExtensionHeaders) {
    EXPECT_EQ(datagram_in(101, ipv4(udp("x")))->source.to_string(), "192.0.2.1:5000");
    const std::string options = big(60, 1) + big(0, 1) + std::string(6, '\0'),
                      more = big(17, 1) + big(0, 1) + std::string(6, '\0');
    EXPECT_EQ(datagram_in(101, ipv6(0, options + more + udp("x")))->payload, "x");
    EXPECT_FALSE(datagram_in(101, ipv6(6, udp("x")))) << "TCP";
    std::string endless;
    for (int i = 0; i < 100; ++i) endless += options;
    EXPECT_FALSE(datagram_in(101, ipv6(60, endless)));
}

TEST(DatagramIn, TellsFragmentsAndWhatTheCaptureCut) {
    const std::string first = big(17, 1) + big(0, 1) + big(1, 2) + big(7, 4),
                      later = big(17, 1) + big(0, 1) + big(8, 2) + big(7, 4);
    EXPECT_TRUE(datagram_in(101, ipv6(44, first + udp("x", 2000)))->is_fragment);
    EXPECT_FALSE(datagram_in(101, ipv6(44, later + udp("x"))));
    EXPECT_TRUE(datagram_in(101, ipv4(udp("x", 2000), 0x2000))->is_fragment);
    EXPECT_FALSE(datagram_in(101, ipv4(udp("x"), 0x0001)));
    EXPECT_TRUE(datagram_in(101, ipv6(17, udp("x", 2000)))->is_incomplete);
    EXPECT_EQ(datagram_in(101, ipv6(17, udp("xpadding", 9)))->payload, "x") << "padding of the link is no payload";
    EXPECT_FALSE(datagram_in(101, ipv6(17, udp("x", 7))));
}

std::string file(const std::string& magic, auto number, const std::string& packet) {
    return magic + std::string(16, '\0') + number(101) + number(1'700'000'000) + number(5) +
           number(static_cast<std::uint32_t>(packet.size())) + number(static_cast<std::uint32_t>(packet.size())) + packet;
}
const auto swapped = [](std::uint32_t number) { return big(number, 4); };
const auto native = [](std::uint32_t number) { return little(number); };

TEST(Capture, IsReadInBothByteOrdersAndResolutions) {
    for (const auto& [text, time] : {std::pair(file("\xd4\xc3\xb2\xa1", native, "abc"), 1'700'000'000'000'005'000),
                                     std::pair(file("\xa1\xb2\xc3\xd4", swapped, "abc"), 1'700'000'000'000'005'000),
                                     std::pair(file("\x4d\x3c\xb2\xa1", native, "abc"), 1'700'000'000'000'000'005),
                                     std::pair(file("\xa1\xb2\x3c\x4d", swapped, "abc"), 1'700'000'000'000'000'005)}) {
        EXPECT_TRUE(Capture::is_capture(text));
        std::istringstream in(text);
        auto capture = Capture::open(in);
        ASSERT_TRUE(capture) << capture.error().message;
        EXPECT_EQ(capture->link_type(), 101u);
        auto packet = capture->next();
        ASSERT_TRUE(packet && *packet);
        EXPECT_EQ((*packet)->bytes, "abc");
        EXPECT_EQ((*packet)->time_ns, time);
        EXPECT_FALSE(*capture->next());
    }
}

TEST(Capture, OfAnotherFormatOrDamagedIsRefused) {
    const auto error_of = [](const std::string& text) {
        std::istringstream in(text);
        auto capture = Capture::open(in);
        if (!capture) return capture.error().message + capture.error().hint;
        auto packet = capture->next();
        return packet ? std::string() : packet.error().message;
    };
    EXPECT_NE(error_of("\x0a\x0d\x0d\x0a" + std::string(20, '\0')).find("editcap -F pcap"), std::string::npos);
    EXPECT_NE(error_of(std::string(24, 'x')).find("not a capture"), std::string::npos);
    EXPECT_NE(error_of("").find("not a capture"), std::string::npos);
    std::string damaged = file("\xd4\xc3\xb2\xa1", native, "abc");
    damaged.replace(32, 4, std::string(4, '\x7f'));
    EXPECT_NE(error_of(damaged).find("packet 1"), std::string::npos);
    const std::string good = file("\xd4\xc3\xb2\xa1", native, "abc");
    EXPECT_EQ(error_of(good.substr(0, good.size() - 1)), "") << "a capture that was interrupted ends early";
}

}  // namespace
}  // namespace flowd::firefly_backend
