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

}  // namespace
}  // namespace flowd::net
