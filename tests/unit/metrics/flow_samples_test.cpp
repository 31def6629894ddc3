// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/flow_samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <utility>

#include "backends/metrics/tcp_figures.hpp"
#include "tests/unit/metrics/events.hpp"

namespace flowd::metrics {
namespace {

using test::moved;
using test::Sampled;
using test::TcpInfo;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::UnorderedElementsAre;

std::string text_of(const FlowSamples& samples, Format format, std::size_t piece = 1 << 20,
                    const std::string& flavour = {}) {
    Page page(format);
    FlowFigures figures = samples.figures(flavour, TagLabels({}, false));
    std::string all;
    bool more = true;
    while (more) {
        more = figures.print(page, piece);
        all += std::exchange(page.text(), {});
    }
    return all;
}

/// The lines of each family, as they are printed.
using Families = std::map<std::string, std::vector<std::string>>;

Families printed(const FlowSamples& samples, const std::string& flavour = {}) {
    Families families;
    std::istringstream lines(text_of(samples, Format::text, 1 << 20, flavour));
    for (std::string line; std::getline(lines, line);)
        if (!line.starts_with("#")) families[line.substr(0, line.find('{'))].push_back(line);
    return families;
}

std::vector<std::string> flows_of(const Families& families) {
    std::vector<std::string> flows;
    const auto found = families.find("flow_tcp_rtt");
    if (found == families.end()) return flows;
    for (const std::string& line : found->second) {
        const auto at = line.find("flow=\"") + 6;
        flows.push_back(line.substr(at, line.find('"', at) - at));
    }
    return flows;
}

TEST(FlowSamples, AreShownWithFlowdGosNamesAndLabels) {
    FlowSamples samples(10);
    const Sampled sampled(1,
                          TcpInfo().set(net::tcp::rtt, std::uint32_t{1500}).set(net::tcp::bytes_sent, std::uint64_t{77}));
    samples.take(sampled.view());
    const Families families = printed(samples);
    EXPECT_EQ(families.size(), tcp_figures().size() + 1) << "each figure, and the algorithm";
    const std::string labels =
        R"(act="16",exp="2",src="2001:db8::1",dst="2001:db8::2",flow="<10001:1094>",flavour="netlink")";
    EXPECT_THAT(families.at("flow_tcp_rtt"), ElementsAre("flow_tcp_rtt{" + labels + "} 1500"));
    EXPECT_THAT(families.at("flow_tcp_bytes_sent_total"), ElementsAre("flow_tcp_bytes_sent_total{" + labels + "} 77"));
    EXPECT_THAT(families.at("flow_tcp_rcv_ca_info"), ElementsAre("flow_tcp_rcv_ca_info{" + labels + ",alg=\"bbr\"} 1"));
}

TEST(FlowSamples, AreTheSameInPiecesOfAnySize) {
    FlowSamples samples(10);
    for (std::uint64_t id = 1; id <= 5; ++id) samples.take(Sampled(id, moved(id)).view());
    for (const Format format : {Format::text, Format::open_metrics})
        for (const std::size_t piece : {1, 100, 1000, 10'000})
            EXPECT_EQ(text_of(samples, format, piece), text_of(samples, format)) << piece;
}

TEST(FlowSamples, EndWithTheirFlow) {
    FlowSamples samples(10);
    samples.take(Sampled(1, moved(1)).view());
    samples.take(EventView(test::event_of(FLOWD_EVENT_END, 1).raw()));
    EXPECT_TRUE(printed(samples).empty());
}

TEST(FlowSamples, OnlyTheLatestIsShown) {
    FlowSamples samples(10);
    samples.take(Sampled(1, TcpInfo().set(net::tcp::rtt, std::uint32_t{1})).view());
    samples.take(Sampled(1, TcpInfo().set(net::tcp::rtt, std::uint32_t{2})).view());
    const auto families = printed(samples);
    EXPECT_THAT(families.at("flow_tcp_rtt"), ElementsAre(EndsWith("} 2")));
}

TEST(FlowSamples, OneEnrichersSamplesCanBeSelected) {
    FlowSamples samples(10);
    samples.take(Sampled(1, moved(1), "netlink").view());
    samples.take(Sampled(2, moved(1), "skops").view());
    EXPECT_THAT(flows_of(printed(samples, "skops")), ElementsAre("<10002:1094>"));
    EXPECT_THAT(flows_of(printed(samples)), UnorderedElementsAre("<10001:1094>", "<10002:1094>"));
}

TEST(FlowSamples, MembersUnknownToTheKernelAreOmitted) {
    FlowSamples samples(10);
    Sampled old(1, moved(1));
    old.sample.tcp_info.length = 104;  // up to total_retrans
    samples.take(old.view());
    const auto families = printed(samples);
    EXPECT_EQ(families.count("flow_tcp_segs_retrans_total"), 1u);
    EXPECT_EQ(families.count("flow_tcp_pacing_rate"), 0u);
}

TEST(FlowSamples, TheLargestAreShownInTheOrderOfTheirEndsAndTheRestIsBounded) {
    FlowSamples samples(3);
    for (std::uint64_t id = 1; id <= 100; ++id) {
        samples.take(Sampled(id, moved(id == 5 ? 1'000'000 : id)).view());
        ASSERT_LE(samples.kept(), 6u);
    }
    EXPECT_THAT(flows_of(printed(samples)), ElementsAre("<10005:1094>", "<10099:1094>", "<10100:1094>"));
    EXPECT_EQ(samples.shown(), 3u);
    EXPECT_EQ(samples.left_out() + samples.kept(), 100u);
}

TEST(FlowSamples, FlowsOfOneSizeAreBoundedAsWell) {
    FlowSamples samples(3);
    for (std::uint64_t id = 1; id <= 50; ++id) samples.take(Sampled(id, moved(8)).view());
    EXPECT_LE(samples.kept(), 6u);
    EXPECT_EQ(flows_of(printed(samples)).size(), 3u);
}

TEST(FlowSamples, ThereIsRoomAgainWhenFlowsEnd) {
    FlowSamples samples(2);
    for (std::uint64_t id = 1; id <= 10; ++id) samples.take(Sampled(id, moved(1000)).view());
    for (std::uint64_t id = 1; id <= 10; ++id) samples.take(EventView(test::event_of(FLOWD_EVENT_END, id).raw()));
    samples.take(Sampled(11, moved(1)).view());
    EXPECT_THAT(flows_of(printed(samples)), ElementsAre("<10011:1094>"));
}

TEST(FlowSamples, AreNotKeptIfDisabled) {
    FlowSamples samples(0);
    samples.take(Sampled(1, moved(1)).view());
    EXPECT_EQ(samples.kept(), 0u);
    EXPECT_TRUE(printed(samples).empty());
}

TEST(FlowSamples, OfOtherNamespacesAreOmitted) {
    FlowSamples samples(10);
    Sampled elsewhere(1, moved(1));
    elsewhere.event->key.scope = 4026531840;
    samples.take(elsewhere.view());
    EXPECT_EQ(samples.kept(), 0u);
    EXPECT_EQ(samples.left_out(), 1u);
}

}  // namespace
}  // namespace flowd::metrics
