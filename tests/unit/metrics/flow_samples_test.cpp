// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/flow_samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "backends/metrics/tcp_figures.hpp"
#include "tests/unit/metrics/events.hpp"

namespace flowd::metrics {
namespace {

using test::moved;
using test::Sampled;
using test::TcpInfo;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

using Families = std::map<std::string, prometheus::MetricFamily>;

Families collected(const FlowSamples& samples, const std::string& flavour = {}) {
    Families families;
    samples.collect(flavour, TagLabels({}, false), [&](prometheus::MetricFamily&& family) {
        const std::string name = family.name;
        EXPECT_TRUE(families.emplace(name, std::move(family)).second) << name << " came twice";
    });
    return families;
}

std::vector<std::string> flows_of(const Families& families) {
    std::vector<std::string> flows;
    const auto found = families.find("flow_tcp_rtt");
    if (found == families.end()) return flows;
    for (const auto& metric : found->second.metric)
        for (const auto& label : metric.label)
            if (label.name == "flow") flows.push_back(label.value);
    return flows;
}

TEST(FlowSamples, AreShownWithFlowdGosNamesAndLabels) {
    FlowSamples samples(10);
    const Sampled sampled(1,
                          TcpInfo().set(net::tcp::rtt, std::uint32_t{1500}).set(net::tcp::bytes_sent, std::uint64_t{77}));
    samples.take(sampled.view());
    const Families families = collected(samples);
    EXPECT_EQ(families.size(), tcp_figures().size() + 1) << "each figure, and the algorithm";
    const auto& rtt = families.at("flow_tcp_rtt");
    ASSERT_EQ(rtt.metric.size(), 1u);
    EXPECT_EQ(rtt.metric[0].gauge.value, 1500);
    using Label = prometheus::ClientMetric::Label;
    EXPECT_THAT(rtt.metric[0].label,
                ElementsAre(Label{"act", "16"}, Label{"exp", "2"}, Label{"src", "2001:db8::1"}, Label{"dst", "2001:db8::2"},
                            Label{"flow", "<10001:1094>"}, Label{"flavour", "netlink"}));
    EXPECT_EQ(families.at("flow_tcp_bytes_sent_total").type, prometheus::MetricType::Counter);
    EXPECT_EQ(families.at("flow_tcp_bytes_sent_total").metric[0].counter.value, 77);
    EXPECT_EQ(families.at("flow_tcp_rcv_ca_info").metric[0].label.back(), (Label{"alg", "bbr"}));
}

TEST(FlowSamples, EndWithTheirFlow) {
    FlowSamples samples(10);
    samples.take(Sampled(1, moved(1)).view());
    samples.take(EventView(test::event_of(FLOWD_EVENT_END, 1).raw()));
    EXPECT_TRUE(collected(samples).empty());
}

TEST(FlowSamples, OnlyTheLatestIsShown) {
    FlowSamples samples(10);
    samples.take(Sampled(1, TcpInfo().set(net::tcp::rtt, std::uint32_t{1})).view());
    samples.take(Sampled(1, TcpInfo().set(net::tcp::rtt, std::uint32_t{2})).view());
    const auto families = collected(samples);
    ASSERT_EQ(families.at("flow_tcp_rtt").metric.size(), 1u);
    EXPECT_EQ(families.at("flow_tcp_rtt").metric[0].gauge.value, 2);
}

TEST(FlowSamples, OneEnrichersSamplesCanBeSelected) {
    FlowSamples samples(10);
    samples.take(Sampled(1, moved(1), "netlink").view());
    samples.take(Sampled(2, moved(1), "skops").view());
    EXPECT_THAT(flows_of(collected(samples, "skops")), ElementsAre("<10002:1094>"));
    EXPECT_THAT(flows_of(collected(samples)), UnorderedElementsAre("<10001:1094>", "<10002:1094>"));
}

TEST(FlowSamples, MembersUnknownToTheKernelAreOmitted) {
    FlowSamples samples(10);
    Sampled old(1, moved(1));
    old.sample.tcp_info.length = 104;  // up to total_retrans
    samples.take(old.view());
    const auto families = collected(samples);
    EXPECT_EQ(families.count("flow_tcp_segs_retrans_total"), 1u);
    EXPECT_EQ(families.count("flow_tcp_pacing_rate"), 0u);
}

TEST(FlowSamples, TheLargestComeFirstAndTheRestIsBounded) {
    FlowSamples samples(3);
    for (std::uint64_t id = 1; id <= 100; ++id) {
        samples.take(Sampled(id, moved(id == 5 ? 1'000'000 : id)).view());
        ASSERT_LE(samples.kept(), 6u);
    }
    EXPECT_THAT(flows_of(collected(samples)), ElementsAre("<10005:1094>", "<10100:1094>", "<10099:1094>"));
    EXPECT_EQ(samples.shown(), 3u);
    EXPECT_EQ(samples.left_out() + samples.kept(), 100u);
}

TEST(FlowSamples, FlowsOfOneSizeAreBoundedAsWell) {
    FlowSamples samples(3);
    for (std::uint64_t id = 1; id <= 50; ++id) samples.take(Sampled(id, moved(8)).view());
    EXPECT_LE(samples.kept(), 6u);
    EXPECT_EQ(flows_of(collected(samples)).size(), 3u);
}

TEST(FlowSamples, ThereIsRoomAgainWhenFlowsEnd) {
    FlowSamples samples(2);
    for (std::uint64_t id = 1; id <= 10; ++id) samples.take(Sampled(id, moved(1000)).view());
    for (std::uint64_t id = 1; id <= 10; ++id) samples.take(EventView(test::event_of(FLOWD_EVENT_END, id).raw()));
    samples.take(Sampled(11, moved(1)).view());
    EXPECT_THAT(flows_of(collected(samples)), ElementsAre("<10011:1094>"));
}

TEST(FlowSamples, AreNotKeptIfDisabled) {
    FlowSamples samples(0);
    samples.take(Sampled(1, moved(1)).view());
    EXPECT_EQ(samples.kept(), 0u);
    EXPECT_TRUE(collected(samples).empty());
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
