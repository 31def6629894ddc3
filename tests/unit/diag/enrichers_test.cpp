// SPDX-License-Identifier: Apache-2.0
// Every sample belongs to its flow: real connections of this machine, sampled by each enricher.
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "flowd/testing.hpp"
#include "lib/watch/cgroup.hpp"
#include "plugins/netlink/enricher.hpp"
#include "plugins/skops/skops.hpp"
#include "tests/unit/diag/many_connections.hpp"

namespace flowd::diag {
namespace {

using netlink::NetlinkEnricher;
using skops::Skops;
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

template <typename E>
class EnricherTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (std::is_same_v<E, Skops> && (::geteuid() != 0 || watch::cgroup_root().empty()))
            GTEST_SKIP() << "needs root and control groups of version 2: it loads a BPF program";
        ASSERT_EQ(enricher_.bring_up(), FLOWD_OK) << host_.problems().front().message;
    }

    std::map<std::uint64_t, RecordedSample> sample(const std::vector<flowd_flow>& flows) {
        std::map<std::uint64_t, RecordedSample> by_flow;
        for (const RecordedSample& one : enricher_.sample(flows)) {
            EXPECT_EQ(by_flow.count(one.sample.flow_id), 0u) << "a second sample of flow " << one.sample.flow_id;
            by_flow[one.sample.flow_id] = one;
        }
        return by_flow;
    }

    FakeHost host_;
    Instance enricher_{host_, component<E>()};
    Listener listener_{"::"};
};

using Enrichers = ::testing::Types<NetlinkEnricher, Skops>;
TYPED_TEST_SUITE(EnricherTest, Enrichers);

TYPED_TEST(EnricherTest, FlowsBetweenTheSameHostsGetTheirOwnSamples) {
    Pair first(this->listener_, "127.0.0.1"), second(this->listener_, "127.0.0.1");
    first.send(1000);
    second.send(2000);
    const auto samples = this->sample({flow(1, first.key()), flow(2, second.key())});
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples.at(1).sample.usage.bytes_sent, 1000u);
    EXPECT_EQ(samples.at(2).sample.usage.bytes_sent, 2000u);
    EXPECT_EQ(samples.at(1).sample.cookie, cookie_of(first.client.get()));
    EXPECT_EQ(samples.at(2).sample.cookie, cookie_of(second.client.get()));
    EXPECT_EQ(this->enricher_.status().find(R"({"summary":"sampled 2 of 2 flows in the last period",)"), 0u)
        << this->enricher_.status();
}

TYPED_TEST(EnricherTest, ASampleHasTheKernelsTcpInfo) {
    Pair pair(this->listener_, "::1");
    pair.send(10);
    const auto samples = this->sample({flow(1, pair.key())});
    ASSERT_EQ(samples.size(), 1u);
    const RecordedSample& one = samples.at(1);
    ASSERT_GE(one.tcp_info.size(), offsetof(struct ::tcp_info, tcpi_bytes_retrans));
    EXPECT_FALSE(one.congestion.empty());
    EXPECT_EQ(one.sample.tcp_state, 1);  // ESTABLISHED
    EXPECT_NE(one.sample.usage.known & FLOWD_USAGE_BYTES, 0u);
    EXPECT_GT(one.sample.time_ns, 0);
}

TYPED_TEST(EnricherTest, MappedAndPlainSocketsAreTheSameIPv4Flow) {
    Pair mapped(this->listener_, "::ffff:127.0.0.1"), plain(this->listener_, "127.0.0.1");
    mapped.send(100);
    plain.send(200);
    const auto samples = this->sample({flow(1, mapped.key()), flow(2, plain.key())});
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples.at(1).sample.usage.bytes_sent, 100u);
    EXPECT_EQ(samples.at(2).sample.usage.bytes_sent, 200u);
}

TYPED_TEST(EnricherTest, UsageIsCountedFromTheSourceOfTheFlow) {
    Pair pair(this->listener_, "127.0.0.1");
    pair.send(300);
    pair.answer(70);
    const auto as_server = this->sample({flow(1, turned(pair.key()))});
    ASSERT_EQ(as_server.size(), 1u);
    EXPECT_EQ(as_server.at(1).sample.cookie, cookie_of(pair.server.get()));
    EXPECT_EQ(as_server.at(1).sample.usage.bytes_sent, 70u);
    EXPECT_EQ(as_server.at(1).sample.usage.bytes_received, 300u);
}

TYPED_TEST(EnricherTest, ReusedPortsDoNotInheritTheFlow) {
    Pair before(this->listener_, "127.0.0.1");
    before.send(5000);
    const flowd_key key = before.key();
    const std::uint16_t port = before.client_end().port;
    ASSERT_EQ(this->sample({flow(1, key)}).at(1).sample.usage.bytes_sent, 5000u);
    before.reset();

    Pair after(this->listener_, "127.0.0.1", port);
    after.send(3);
    EXPECT_TRUE(this->sample({flow(1, key)}).empty()) << "flow 1 was the connection before";
    const auto samples = this->sample({flow(2, key)});
    ASSERT_EQ(samples.size(), 1u);
    EXPECT_EQ(samples.at(2).sample.usage.bytes_sent, 3u);
    EXPECT_EQ(samples.at(2).sample.cookie, cookie_of(after.client.get()));
}

TYPED_TEST(EnricherTest, AConnectionInTimeWaitHasNoSample) {
    Pair pair(this->listener_, "127.0.0.1");
    const flowd_key key = pair.key();
    pair.client.reset();  // the one that closes first waits
    pair.server.reset();
    EXPECT_TRUE(this->sample({flow(1, key)}).empty());
    EXPECT_EQ(this->enricher_.last_sample_result(), FLOWD_OK);
}

TYPED_TEST(EnricherTest, FlowsOfOtherHostsAndProtocolsHaveNoSample) {
    const Pair pair(this->listener_, "127.0.0.1");
    flowd_key udp = pair.key();
    udp.protocol = IPPROTO_UDP;
    flowd_key elsewhere = pair.key();
    elsewhere.scope = 1;
    const auto foreign =
        make_key({Address::parse("192.0.2.1").value(), 1}, {Address::parse("192.0.2.2").value(), 2}, IPPROTO_TCP);
    EXPECT_TRUE(this->sample({flow(1, udp), flow(2, elsewhere), flow(3, foreign)}).empty());
}

TYPED_TEST(EnricherTest, AFlowRequestedTwiceIsSampledOnce) {
    const Pair pair(this->listener_, "127.0.0.1");
    EXPECT_EQ(this->sample({flow(1, pair.key()), flow(2, pair.key())}).size(), 1u);
}

/// Each connection has sent as many bytes as its number, so that a sample of another is seen.
TYPED_TEST(EnricherTest, AmongManyConnectionsEachGetsItsOwn) {
    constexpr std::size_t connections = 1000;
    std::vector<std::unique_ptr<Pair>> pairs;
    std::vector<flowd_flow> flows;
    for (std::size_t i = 1; i <= connections; ++i) {
        auto& pair = pairs.emplace_back(std::make_unique<Pair>(this->listener_, i % 3 == 0 ? "::1" : "127.0.0.1"));
        pair->send(i);
        flows.push_back(flow(i, i % 2 == 0 ? pair->key() : turned(pair->key())));
    }
    const auto samples = this->sample(flows);
    ASSERT_EQ(samples.size(), connections);
    for (std::size_t i = 1; i <= connections; ++i) {
        const RecordedSample& one = samples.at(i);
        EXPECT_EQ(one.sample.cookie, cookie_of((i % 2 == 0 ? pairs[i - 1]->client : pairs[i - 1]->server).get())) << i;
        EXPECT_EQ(i % 2 == 0 ? one.sample.usage.bytes_sent : one.sample.usage.bytes_received, i);
    }
}

/// 10,000 connections; 100,000 with FLOWD_LONG=1. None is in the process that is sampled, and each has one sample, its own.
TYPED_TEST(EnricherTest, AmongMoreConnectionsThanDescriptorsEachGetsItsOwn) {
    const std::size_t count = std::getenv("FLOWD_LONG") != nullptr ? 100'000 : 10'000;
    const ManyConnections& connections = ManyConnections::of(count);
    Judge judge{&connections};
    const flowd_samples sink = judge.sink();
    const auto& flows = connections.flows();
    for (std::uint64_t period = 1; period <= 3; ++period) {
        ASSERT_EQ(
            component<TypeParam>().sample(this->enricher_.raw(), flows.data(), flows.size(), sizeof(flowd_flow), 1, &sink),
            FLOWD_OK);
        EXPECT_EQ(judge.samples, period * count);
        EXPECT_EQ(judge.wrong, 0u);
    }
}

TEST(NetlinkEnricher, OptionsThatMatchNothingAreRefused) {
    FakeHost host;
    Instance none(host, component<NetlinkEnricher>(), Config(component<NetlinkEnricher>()).set("state", "1024"));
    EXPECT_EQ(none.validate(), FLOWD_INVALID);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].option, "state");
    Instance sctp(host, component<NetlinkEnricher>(), Config(component<NetlinkEnricher>()).set("protocol", "132"));
    EXPECT_EQ(sctp.validate(), FLOWD_INVALID);
    EXPECT_EQ(host.problems().back().option, "protocol");
}

/// transition: samples come from changes of state.
class TransitionTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0 || watch::cgroup_root().empty())
            GTEST_SKIP() << "needs root and control groups of version 2: it loads a BPF program";
        ASSERT_EQ(skops_.bring_up(), FLOWD_OK) << host_.problems().front().message;
    }
    FakeHost host_;
    Instance skops_{host_, component<Skops>(), Config(component<Skops>()).set("strategy", "transition")};
    Listener listener_{"::"};
};

TEST_F(TransitionTest, TheLatestChangeOfStateIsTheSample) {
    Pair pair(listener_, "127.0.0.1");
    const std::vector<flowd_flow> flows{flow(1, pair.key())};
    pair.send(1000);
    auto samples = skops_.sample(flows);
    ASSERT_EQ(samples.size(), 1u);
    EXPECT_EQ(samples[0].sample.tcp_state, 1);
    EXPECT_EQ(samples[0].sample.usage.bytes_sent, 0u) << "nothing had been sent when it was established";
    EXPECT_EQ(samples[0].sample.cookie, cookie_of(pair.client.get()));
    ::shutdown(pair.client.get(), SHUT_WR);
    samples = skops_.sample(flows);
    ASSERT_EQ(samples.size(), 1u);
    EXPECT_TRUE(samples[0].sample.tcp_state == 4 || samples[0].sample.tcp_state == 5) << "FIN_WAIT";
    EXPECT_EQ(samples[0].sample.usage.bytes_sent, 1000u);
    pair.server.reset();
    pair.client.reset();
    samples = skops_.sample(flows);
    ASSERT_EQ(samples.size(), 1u);
    EXPECT_EQ(samples[0].sample.tcp_state, 7) << "CLOSE";
    EXPECT_TRUE(skops_.sample(flows).empty()) << "it is told once";
}

TEST_F(TransitionTest, ConnectionsOpenedBeforeAreNotSampled) {
    skops_.destroy();
    const Pair pair(listener_, "127.0.0.1");
    FakeHost host;
    Instance later(host, component<Skops>(), Config(component<Skops>()).set("strategy", "transition"));
    ASSERT_EQ(later.bring_up(), FLOWD_OK);
    EXPECT_TRUE(later.sample(std::vector<flowd_flow>{flow(1, pair.key())}).empty());
}

/// What BPF fills in is what the kernel itself says.
TEST(Skops, AgreesWithSockDiag) {
    if (::geteuid() != 0 || watch::cgroup_root().empty()) GTEST_SKIP() << "needs root and control groups of version 2";
    FakeHost host;
    Instance by_netlink(host, component<NetlinkEnricher>()), by_bpf(host, component<Skops>());
    ASSERT_EQ(by_netlink.bring_up(), FLOWD_OK);
    ASSERT_EQ(by_bpf.bring_up(), FLOWD_OK);
    const Listener listener("::");
    Pair pair(listener, "::1");
    pair.send(100'000);
    pair.answer(5000);
    const std::vector<flowd_flow> flows{flow(1, pair.key())};
    const auto netlink = by_netlink.sample(flows), bpf = by_bpf.sample(flows);
    ASSERT_EQ(netlink.size(), 1u);
    ASSERT_EQ(bpf.size(), 1u);
    EXPECT_EQ(netlink[0].congestion, bpf[0].congestion);
    EXPECT_EQ(netlink[0].sample.cookie, bpf[0].sample.cookie);
    struct ::tcp_info a {
    }, b{};
    std::memcpy(&a, netlink[0].tcp_info.data(), std::min(netlink[0].tcp_info.size(), sizeof a));
    std::memcpy(&b, bpf[0].tcp_info.data(), std::min(bpf[0].tcp_info.size(), sizeof b));
#define EXPECT_SAME(member) EXPECT_EQ(a.tcpi_##member, b.tcpi_##member)
    EXPECT_SAME(state);
    EXPECT_SAME(snd_mss);
    EXPECT_SAME(rcv_mss);
    EXPECT_SAME(unacked);
    EXPECT_SAME(pmtu);
    EXPECT_SAME(rcv_ssthresh);
    EXPECT_SAME(rtt);
    EXPECT_SAME(rttvar);
    EXPECT_SAME(snd_ssthresh);
    EXPECT_SAME(snd_cwnd);
    EXPECT_SAME(advmss);
    EXPECT_SAME(reordering);
    EXPECT_SAME(rcv_rtt);
    EXPECT_SAME(rcv_space);
    EXPECT_SAME(total_retrans);
    EXPECT_SAME(pacing_rate);
    EXPECT_SAME(max_pacing_rate);
    EXPECT_SAME(bytes_acked);
    EXPECT_SAME(bytes_received);
    EXPECT_SAME(segs_out);
    EXPECT_SAME(segs_in);
    EXPECT_SAME(notsent_bytes);
    EXPECT_SAME(min_rtt);
    EXPECT_SAME(data_segs_in);
    EXPECT_SAME(data_segs_out);
    EXPECT_SAME(delivered);
    EXPECT_SAME(bytes_sent);
    EXPECT_SAME(bytes_retrans);
    EXPECT_SAME(snd_wnd);
#undef EXPECT_SAME
}

}  // namespace
}  // namespace flowd::diag
