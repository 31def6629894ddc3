// SPDX-License-Identifier: Apache-2.0
#include "lib/net/tcp_info.hpp"

#include <gtest/gtest.h>
#include <linux/tcp.h>

#include <cstdint>

namespace flowd::net {
namespace {

flowd_bytes bytes(const struct ::tcp_info& info, std::size_t length) {
    return {reinterpret_cast<const std::uint8_t*>(&info), length};
}

TEST(TcpInfo, HasItsRoundTripTimeWhereTheKernelPutsIt) {
    struct ::tcp_info info {};
    info.tcpi_rtt = 102345;
    EXPECT_EQ(rtt_us(bytes(info, sizeof info)), 102345u);
}

TEST(TcpInfo, OfAnOldKernelIsReadAsFarAsItGoes) {
    struct ::tcp_info info {};
    info.tcpi_rtt = 5;
    EXPECT_EQ(rtt_us(bytes(info, offsetof(struct ::tcp_info, tcpi_rtt) + 4)), 5u);
    EXPECT_FALSE(rtt_us(bytes(info, offsetof(struct ::tcp_info, tcpi_rtt) + 3)));
    EXPECT_FALSE(rtt_us({nullptr, 0}));
}

TEST(TcpInfo, WithoutASampleHasNoRoundTripTime) {
    const struct ::tcp_info info {};
    EXPECT_FALSE(rtt_us(bytes(info, sizeof info)));
}

TEST(TcpInfo, HasItsOtherMembersWhereTheKernelPutsThem) {
    struct ::tcp_info info {};
    info.tcpi_state = 1;
    info.tcpi_snd_wscale = 11;
    info.tcpi_rcv_wscale = 7;
    info.tcpi_delivery_rate_app_limited = 1;
    info.tcpi_fastopen_client_fail = 2;
    info.tcpi_bytes_received = 1ull << 40;
    const auto all = bytes(info, sizeof info);
    EXPECT_EQ(tcp_value(all, tcp::state), 1u);
    EXPECT_EQ(tcp_value(all, tcp::snd_wscale), 11u);
    EXPECT_EQ(tcp_value(all, tcp::rcv_wscale), 7u);
    EXPECT_EQ(tcp_value(all, tcp::delivery_rate_app_limited), 1u);
    EXPECT_EQ(tcp_value(all, tcp::fastopen_client_fail), 2u);
    EXPECT_EQ(tcp_value(all, tcp::bytes_received), 1ull << 40);
    EXPECT_FALSE(tcp_value(bytes(info, 135), tcp::bytes_received)) << "cut in the middle";
}

}  // namespace
}  // namespace flowd::net
