// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/enrichment.hpp"

#include <gtest/gtest.h>
#include <linux/tcp.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "flowd/sized.hpp"

namespace flowd::firefly {
namespace {

class SampleBlock : public ::testing::Test {
  protected:
    SampleBlock() {
        info_.tcpi_state = 1;
        info_.tcpi_options = TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE;
        info_.tcpi_snd_wscale = 11;
        info_.tcpi_rcv_wscale = 7;
        info_.tcpi_delivery_rate_app_limited = 1;
        info_.tcpi_rto = 302000;
        info_.tcpi_ato = 40000;
        info_.tcpi_snd_mss = 8928;
        info_.tcpi_advmss = 8928;
        info_.tcpi_pmtu = 9000;
        info_.tcpi_rtt = 102345;
        info_.tcpi_rttvar = 81;
        info_.tcpi_snd_cwnd = 1440;
        info_.tcpi_snd_ssthresh = 0x7fffffff;
        info_.tcpi_min_rtt = 101800;
        info_.tcpi_delivery_rate = 132556680;
        info_.tcpi_bytes_sent = 52428800;
        info_.tcpi_bytes_acked = 52420000;
        info_.tcpi_max_pacing_rate = ~0ull;
        info_.tcpi_snd_wnd = 65535;
    }
    std::string json(Verbosity verbosity, std::size_t length = sizeof(struct ::tcp_info)) {
        bytes_.assign(length, 0);
        std::memcpy(bytes_.data(), &info_, std::min(length, sizeof info_));
        flowd_sample sample{};
        sample.size = sizeof sample;
        sample.tcp_info = {bytes_.data(), length};
        sample.congestion = to_c(congestion_);
        const auto block = sample_block(sample, verbosity);
        rtt_ms_ = block ? block->rtt_ms : std::nullopt;
        return block ? block->json : "none";
    }
    [[nodiscard]] static bool has(const std::string& text, std::string_view member) {
        return text.find(member) != std::string::npos;
    }

    struct ::tcp_info info_ {};
    std::string congestion_ = "cubic";
    std::vector<std::uint8_t> bytes_;
    std::optional<double> rtt_ms_;
};

TEST_F(SampleBlock, LeanHasTheTwelveMembersOfFlowdGoAfterTheRtt) {
    EXPECT_EQ(
        json(Verbosity::lean),
        R"({"rtt":102.345,"cong":{"algorithm":"cubic"},"tcpInfo":{"Retransmits":0,"sndMss":8928,"pMtu":9000,"rtt":102345,"rttVar":81,"sndSsThresh":2147483647,"sndCwnd":1440,"advMss":8928,"minRtt":101800,"deliveryRate":132556680,"bytesSent":52428800}})");
    EXPECT_EQ(rtt_ms_, 102.345);
}

TEST_F(SampleBlock, CompatibleIsFlatAndInMillisecondsLikeFlowd) {
    const std::string text = json(Verbosity::compatible);
    EXPECT_TRUE(text.starts_with(R"({"rtt":102.345,"state":"established","rto":302.0,"ato":40.0,"rttvar":0.081,)")) << text;
    for (const char* member : {R"("snd_ssthresh":0,)", R"("opts":["ts","sack"])", R"("snd_wscale":11)", R"("rcv_wscale":7)",
                               R"("min_rtt":101800)", R"("delivery_rate_app_limited":1)", R"("cong_algo":"cubic")",
                               R"("max_pacing_rate":18446744073709551615)", R"("bytes_acked":52420000)"})
        EXPECT_TRUE(has(text, member)) << member << " in " << text;
    EXPECT_FALSE(has(text, "tcpInfo"));

    info_.tcpi_rto = 3'000'000;
    info_.tcpi_snd_ssthresh = 16;
    info_.tcpi_state = 200;
    info_.tcpi_options = TCPI_OPT_ECN;
    const std::string other = json(Verbosity::compatible);
    for (const char* member : {R"("rto":0.0)", R"("snd_ssthresh":16)", R"("state":"invalid")", R"("opts":["ecn"])"})
        EXPECT_TRUE(has(other, member)) << member << " in " << other;
}

TEST_F(SampleBlock, FullHasAllMembersOfTheKernel) {
    const std::string text = json(Verbosity::full);
    EXPECT_TRUE(text.starts_with(R"({"rtt":102.345,"cong":{"algorithm":"cubic"},"tcpInfo":{"state":1,"caState":0,)"))
        << text;
    EXPECT_TRUE(has(text, R"("rcvdWscale":7)"));
    EXPECT_TRUE(text.ends_with(R"("sndWnd":65535}})")) << text;

    const std::string newer = json(Verbosity::full, 248);  // as of Linux 6.7
    EXPECT_TRUE(newer.ends_with(R"("rcvWnd":0,"rehash":0,"totalRto":0,"totalRtoRecoveries":0,"totalRtoTime":0}})"))
        << newer;
    const std::string older = json(Verbosity::full, offsetof(struct ::tcp_info, tcpi_delivered));
    EXPECT_TRUE(older.ends_with(R"("sndBufLimited":0}})")) << older;
    EXPECT_FALSE(has(older, "bytesSent"));
}

TEST_F(SampleBlock, OmitsUnknownMembers) {
    info_.tcpi_rtt = 0;
    congestion_ = "";
    const std::string text = json(Verbosity::lean);
    EXPECT_TRUE(text.starts_with(R"({"tcpInfo":{"Retransmits":0,)")) << text;
    EXPECT_FALSE(rtt_ms_);
    EXPECT_EQ(json(Verbosity::full, 0), "none");
}

TEST_F(SampleBlock, IsNamedAfterItsEnricher) {
    EXPECT_EQ(block_name("netlink"), "netlink");
    EXPECT_EQ(block_name("netlink/second"), "netlink");
    EXPECT_EQ(block_name("skops"), "skOps");
    EXPECT_EQ(block_name("acme"), "acme");
}

TEST_F(SampleBlock, IsReadBackByTheBlockReader) {
    BlockReader reader;
    for (const auto verbosity : {Verbosity::lean, Verbosity::compatible, Verbosity::full}) {
        const std::string text = json(verbosity);
        const auto again = reader.normalise("netlink", text);
        ASSERT_TRUE(again);
        EXPECT_EQ(again->json, text) << "so a relay prints it as it came";
        EXPECT_EQ(again->rtt_ms, rtt_ms_);
    }
}

}  // namespace
}  // namespace flowd::firefly
