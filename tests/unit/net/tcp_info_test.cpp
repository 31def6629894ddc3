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

TEST(TcpInfo, OfAnOldKernelIsReadUpToItsLength) {
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

TEST(TcpInfo, UsageIsPayloadWithoutSynAndFin) {
    struct ::tcp_info info {};
    info.tcpi_state = 8;  // CLOSE_WAIT: the peer's FIN came
    info.tcpi_bytes_sent = 1200;
    info.tcpi_bytes_retrans = 200;
    info.tcpi_bytes_acked = 1001;  // of an active open: its SYN counts
    info.tcpi_bytes_received = 51;
    info.tcpi_segs_out = 7;
    info.tcpi_segs_in = 5;
    const auto usage = tcp_usage(bytes(info, sizeof info)).value();
    EXPECT_EQ(usage.bytes_sent, 1000u);
    EXPECT_EQ(usage.bytes_received, 50u);
    EXPECT_EQ(usage.packets_sent, 7u);
    EXPECT_EQ(usage.packets_received, 5u);
}

TEST(TcpInfo, OnlyAcknowledgedBytesCountAsSent) {
    struct ::tcp_info info {};
    info.tcpi_state = 1;
    info.tcpi_bytes_sent = 1000;
    info.tcpi_bytes_acked = 400;
    EXPECT_EQ(tcp_usage(bytes(info, sizeof info))->bytes_sent, 400u);
}

TEST(TcpInfo, AClosedConnectionHadAFinIfTheCallerSaysSo) {
    struct ::tcp_info info {};
    info.tcpi_state = 7;
    info.tcpi_bytes_received = 51;
    EXPECT_EQ(tcp_usage(bytes(info, sizeof info))->bytes_received, 51u);
    EXPECT_EQ(tcp_usage(bytes(info, sizeof info), true)->bytes_received, 50u);
    info.tcpi_bytes_received = 0;
    EXPECT_EQ(tcp_usage(bytes(info, sizeof info), true)->bytes_received, 0u);
}

TEST(TcpInfo, BeforeTheCountersExistedThereIsNoUsage) {
    const struct ::tcp_info info {};
    EXPECT_FALSE(tcp_usage(bytes(info, offsetof(struct ::tcp_info, tcpi_bytes_retrans))));
    EXPECT_FALSE(tcp_usage({nullptr, 0}));
}

}  // namespace
}  // namespace flowd::net
