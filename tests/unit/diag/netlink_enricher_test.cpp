// SPDX-License-Identifier: Apache-2.0
// Every sample belongs to its flow: real connections of this machine, sampled by the enricher.
#include "plugins/netlink/enricher.hpp"

#include <gtest/gtest.h>
#include <linux/tcp.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "flowd/testing.hpp"
#include "tests/unit/diag/connections.hpp"

namespace flowd::netlink {
namespace {

using diag::cookie_of;
using diag::Listener;
using diag::Pair;
using testing::Config;
using testing::FakeHost;
using testing::Instance;
using testing::RecordedSample;

flowd_flow flow(std::uint64_t id, const flowd_key& key) {
    flowd_flow flow{};
    flow.size = sizeof flow;
    flow.flow_id = id;
    flow.key = key;
    return flow;
}

flowd_key turned(const flowd_key& key) {
    return make_key(destination_of(key), source_of(key), key.protocol);
}

class NetlinkEnricherTest : public ::testing::Test {
  protected:
    void SetUp() override { ASSERT_EQ(enricher_.bring_up(), FLOWD_OK); }

    std::map<std::uint64_t, RecordedSample> sample(const std::vector<flowd_flow>& flows) {
        std::map<std::uint64_t, RecordedSample> by_flow;
        for (const RecordedSample& one : enricher_.sample(flows)) {
            EXPECT_EQ(by_flow.count(one.sample.flow_id), 0u) << "a second sample of flow " << one.sample.flow_id;
            by_flow[one.sample.flow_id] = one;
        }
        return by_flow;
    }

    FakeHost host_;
    Instance enricher_{host_, component<NetlinkEnricher>()};
    Listener listener_{"::"};
};

TEST_F(NetlinkEnricherTest, FlowsBetweenTheSameHostsGetTheirOwnSamples) {
    Pair first(listener_, "127.0.0.1"), second(listener_, "127.0.0.1");
    first.send(1000);
    second.send(2000);
    const auto samples = sample({flow(1, first.key()), flow(2, second.key())});
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples.at(1).sample.usage.bytes_sent, 1000u);
    EXPECT_EQ(samples.at(2).sample.usage.bytes_sent, 2000u);
    EXPECT_EQ(samples.at(1).sample.cookie, cookie_of(first.client.get()));
    EXPECT_EQ(samples.at(2).sample.cookie, cookie_of(second.client.get()));
}

TEST_F(NetlinkEnricherTest, ASampleHasWhatTheKernelKnows) {
    Pair pair(listener_, "::1");
    pair.send(10);
    const auto samples = sample({flow(1, pair.key())});
    ASSERT_EQ(samples.size(), 1u);
    const RecordedSample& one = samples.at(1);
    ASSERT_GE(one.tcp_info.size(), offsetof(struct ::tcp_info, tcpi_bytes_retrans));
    EXPECT_FALSE(one.congestion.empty());
    EXPECT_EQ(one.sample.tcp_state, 1);  // ESTABLISHED
    EXPECT_NE(one.sample.flags & FLOWD_SAMPLE_HAS_USAGE, 0u);
    EXPECT_GT(one.sample.time_ns, 0);
}

TEST_F(NetlinkEnricherTest, MappedAndPlainSocketsAreTheSameIPv4Flow) {
    Pair mapped(listener_, "::ffff:127.0.0.1"), plain(listener_, "127.0.0.1");
    mapped.send(100);
    plain.send(200);
    const auto samples = sample({flow(1, mapped.key()), flow(2, plain.key())});
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples.at(1).sample.usage.bytes_sent, 100u);
    EXPECT_EQ(samples.at(2).sample.usage.bytes_sent, 200u);
}

TEST_F(NetlinkEnricherTest, UsageIsCountedFromTheSourceOfTheFlow) {
    Pair pair(listener_, "127.0.0.1");
    pair.send(300);
    pair.answer(70);
    const auto as_server = sample({flow(1, turned(pair.key()))});
    ASSERT_EQ(as_server.size(), 1u);
    EXPECT_EQ(as_server.at(1).sample.cookie, cookie_of(pair.server.get()));
    EXPECT_EQ(as_server.at(1).sample.usage.bytes_sent, 70u);
    EXPECT_EQ(as_server.at(1).sample.usage.bytes_received, 300u);
}

TEST_F(NetlinkEnricherTest, PortsUsedAgainDoNotInheritTheFlow) {
    Pair before(listener_, "127.0.0.1");
    before.send(5000);
    const flowd_key key = before.key();
    const std::uint16_t port = before.client_end().port;
    ASSERT_EQ(sample({flow(1, key)}).at(1).sample.usage.bytes_sent, 5000u);
    before.reset();

    Pair after(listener_, "127.0.0.1", port);
    after.send(3);
    EXPECT_TRUE(sample({flow(1, key)}).empty()) << "flow 1 was the connection before";
    const auto samples = sample({flow(2, key)});
    ASSERT_EQ(samples.size(), 1u);
    EXPECT_EQ(samples.at(2).sample.usage.bytes_sent, 3u);
    EXPECT_EQ(samples.at(2).sample.cookie, cookie_of(after.client.get()));
}

TEST_F(NetlinkEnricherTest, AConnectionInTimeWaitHasNoSample) {
    Pair pair(listener_, "127.0.0.1");
    const flowd_key key = pair.key();
    pair.client.reset();  // the one that closes first waits
    pair.server.reset();
    EXPECT_TRUE(sample({flow(1, key)}).empty());
    EXPECT_EQ(enricher_.last_sample_result(), FLOWD_OK);
}

TEST_F(NetlinkEnricherTest, FlowsOfOtherHostsAndProtocolsHaveNoSample) {
    const Pair pair(listener_, "127.0.0.1");
    flowd_key udp = pair.key();
    udp.protocol = IPPROTO_UDP;
    flowd_key elsewhere = pair.key();
    elsewhere.scope = 1;
    const auto foreign =
        make_key({Address::parse("192.0.2.1").value(), 1}, {Address::parse("192.0.2.2").value(), 2}, IPPROTO_TCP);
    EXPECT_TRUE(sample({flow(1, udp), flow(2, elsewhere), flow(3, foreign)}).empty());
}

TEST_F(NetlinkEnricherTest, AskedForOneFlowTwiceItSamplesOne) {
    const Pair pair(listener_, "127.0.0.1");
    EXPECT_EQ(sample({flow(1, pair.key()), flow(2, pair.key())}).size(), 1u);
}

/// Each connection has sent as many bytes as its number, so that a sample of another is seen.
TEST_F(NetlinkEnricherTest, AmongManyConnectionsEachGetsItsOwn) {
    constexpr std::size_t connections = 1000;
    std::vector<std::unique_ptr<Pair>> pairs;
    std::vector<flowd_flow> flows;
    for (std::size_t i = 1; i <= connections; ++i) {
        auto& pair = pairs.emplace_back(std::make_unique<Pair>(listener_, i % 3 == 0 ? "::1" : "127.0.0.1"));
        pair->send(i);
        flows.push_back(flow(i, i % 2 == 0 ? pair->key() : turned(pair->key())));
    }
    const auto samples = sample(flows);
    ASSERT_EQ(samples.size(), connections);
    for (std::size_t i = 1; i <= connections; ++i) {
        const RecordedSample& one = samples.at(i);
        EXPECT_EQ(one.sample.cookie, cookie_of((i % 2 == 0 ? pairs[i - 1]->client : pairs[i - 1]->server).get())) << i;
        EXPECT_EQ(i % 2 == 0 ? one.sample.usage.bytes_sent : one.sample.usage.bytes_received, i);
    }
}

TEST_F(NetlinkEnricherTest, OptionsThatMatchNothingAreRefused) {
    FakeHost host;
    Instance none(host, component<NetlinkEnricher>(), Config(component<NetlinkEnricher>()).set("state", "1024"));
    EXPECT_EQ(none.validate(), FLOWD_INVALID);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].option, "state");
    Instance sctp(host, component<NetlinkEnricher>(), Config(component<NetlinkEnricher>()).set("protocol", "132"));
    EXPECT_EQ(sctp.validate(), FLOWD_INVALID);
    EXPECT_EQ(host.problems().back().option, "protocol");
}

}  // namespace
}  // namespace flowd::netlink
