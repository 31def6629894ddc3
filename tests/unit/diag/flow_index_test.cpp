// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/flow_index.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <vector>

namespace flowd::diag {
namespace {

using std::chrono::seconds;

flowd_key key(const char* source, std::uint16_t source_port, const char* destination, std::uint16_t destination_port,
              std::uint8_t protocol = IPPROTO_TCP) {
    return make_key({Address::parse(source).value(), source_port}, {Address::parse(destination).value(), destination_port},
                    protocol);
}

class FlowIndexTest : public ::testing::Test {
  protected:
    void flow(std::uint64_t id, const flowd_key& of) {
        flowd_flow flow{};
        flow.size = sizeof flow;
        flow.flow_id = id;
        flow.key = of;
        flows_.push_back(flow);
    }
    void period() {
        index_.begin();
        index_.add(FlowBatch(flows_.data(), flows_.size(), sizeof(flowd_flow)));
    }
    std::uint64_t owner(const flowd_key& of, std::uint64_t cookie) {
        const auto claim = index_.claim({of, cookie});
        return claim ? claim->flow_id : 0;
    }
    /// The flows that are gone at the end of a period.
    std::vector<std::uint64_t> finish(int second, bool complete = true) {
        std::vector<std::uint64_t> gone;
        index_.finish(complete, FlowIndex::Clock::time_point(seconds(1000 + second)),
                      [&](std::uint64_t id) { gone.push_back(id); });
        return gone;
    }

    FlowIndex index_{seconds(10)};
    std::vector<flowd_flow> flows_;
    const flowd_key out_ = key("192.0.2.1", 40000, "192.0.2.2", 1094);
};

TEST_F(FlowIndexTest, ASocketIsFoundInEitherDirection) {
    flow(1, out_);
    flow(2, key("2001:db8::9", 50000, "2001:db8::1", 1094));
    period();
    EXPECT_FALSE(index_.claim({out_, 10})->reversed);
    const auto other = index_.claim({key("2001:db8::1", 1094, "2001:db8::9", 50000), 11});
    ASSERT_TRUE(other);
    EXPECT_EQ(other->flow_id, 2u);
    EXPECT_TRUE(other->reversed);
}

TEST_F(FlowIndexTest, FlowsBetweenTheSameHostsDifferByPortAndProtocol) {
    flow(1, out_);
    flow(2, key("192.0.2.1", 40001, "192.0.2.2", 1094));
    flow(3, key("192.0.2.1", 40000, "192.0.2.2", 1094, IPPROTO_UDP));
    period();
    EXPECT_EQ(owner(key("192.0.2.1", 40001, "192.0.2.2", 1094), 11), 2u);
    EXPECT_EQ(owner(key("192.0.2.1", 40000, "192.0.2.2", 1094, IPPROTO_UDP), 12), 3u);
    EXPECT_EQ(owner(out_, 10), 1u);
    EXPECT_EQ(owner(key("192.0.2.1", 40002, "192.0.2.2", 1094), 13), 0u);
    // The ports the other way round are another connection.
    EXPECT_EQ(owner(key("192.0.2.1", 1094, "192.0.2.2", 40000), 14), 0u);
}

TEST_F(FlowIndexTest, AConnectionInsideThisHostIsSampledAtItsSource) {
    flow(1, key("127.0.0.1", 40000, "127.0.0.1", 1094));
    period();
    EXPECT_EQ(owner(key("127.0.0.1", 1094, "127.0.0.1", 40000), 11), 0u) << "the server's end came first";
    EXPECT_EQ(owner(key("127.0.0.1", 40000, "127.0.0.1", 1094), 10), 1u);
}

TEST_F(FlowIndexTest, ReusedPortsAreAnotherConnection) {
    flow(1, out_);
    period();
    EXPECT_EQ(owner(out_, 10), 1u);
    EXPECT_TRUE(finish(0).empty());
    period();
    EXPECT_EQ(owner(out_, 20), 0u);
    EXPECT_EQ(index_.other_connections(), 1u);
    finish(1);
    // Announced as a flow of its own it is one.
    flows_.clear();
    flow(2, out_);
    period();
    EXPECT_EQ(owner(out_, 20), 2u);
}

TEST_F(FlowIndexTest, AFlowIsGoneWhenItsSocketWasMissingForLongEnough) {
    flow(1, out_);
    period();
    EXPECT_EQ(owner(out_, 10), 1u);
    EXPECT_TRUE(finish(0).empty());
    period();
    EXPECT_TRUE(finish(5).empty()) << "its announcer may be about to tell the end";
    period();
    EXPECT_TRUE(finish(14).empty());
    period();
    EXPECT_EQ(finish(15), std::vector<std::uint64_t>{1});
}

TEST_F(FlowIndexTest, ASocketThatReappearsIsNotMissing) {
    flow(1, out_);
    period();
    EXPECT_EQ(owner(out_, 10), 1u);
    finish(0);
    period();
    finish(5);
    period();
    EXPECT_EQ(owner(out_, 10), 1u) << "it was skipped by one dump";
    finish(10);
    period();
    EXPECT_TRUE(finish(16).empty());
}

TEST_F(FlowIndexTest, AnIncompleteDumpMakesNoFlowMissing) {
    flow(1, out_);
    period();
    EXPECT_EQ(owner(out_, 10), 1u);
    finish(0);
    for (int second = 1; second < 60; ++second) {
        period();
        EXPECT_TRUE(finish(second, false).empty());
    }
}

TEST_F(FlowIndexTest, AFlowWithoutASocketHereIsNotMissing) {
    flow(1, out_);
    for (int second = 0; second < 60; second += 5) {
        period();
        EXPECT_TRUE(finish(second).empty());
    }
}

TEST_F(FlowIndexTest, ForgetsFlowsThatEnded) {
    flow(1, out_);
    period();
    EXPECT_EQ(owner(out_, 10), 1u);
    finish(0);
    EXPECT_EQ(index_.matched(), 1u);
    flows_.clear();
    period();
    EXPECT_TRUE(finish(60).empty());
    EXPECT_EQ(index_.matched(), 0u);
}

TEST_F(FlowIndexTest, FlowsThatComeAndGoDoNotDisturbOthers) {
    const auto tuple = [](std::uint64_t id) {
        return key("192.0.2.1", static_cast<std::uint16_t>(id), "192.0.2.2", static_cast<std::uint16_t>(id >> 16));
    };
    // In each period a third of the flows is new, a third ends, and they are listed in another order.
    for (std::uint64_t now = 0; now < 30; ++now) {
        flows_.clear();
        for (std::uint64_t id = 1 + now * 300; id <= 900 + now * 300; ++id) flow(id, tuple(id));
        std::rotate(flows_.begin(), flows_.begin() + static_cast<int>(now * 29), flows_.end());
        period();
        ASSERT_EQ(index_.flows(), 900u);
        EXPECT_EQ(owner(tuple(now * 300), now * 300), 0u) << "it has ended";
        for (const flowd_flow& one : flows_) ASSERT_EQ(owner(one.key, one.flow_id), one.flow_id);
        ASSERT_TRUE(finish(static_cast<int>(now)).empty());
        ASSERT_EQ(index_.matched(), 900u);
        ASSERT_EQ(index_.other_connections(), 0u);
    }
}

TEST_F(FlowIndexTest, ANewFlowWithTheTupleOfAnEndedOneHasASocketOfItsOwn) {
    flow(1, out_);
    period();
    EXPECT_EQ(owner(out_, 10), 1u);
    finish(0);
    flows_[0].flow_id = 2;
    period();
    EXPECT_EQ(owner(out_, 11), 2u);
}

TEST_F(FlowIndexTest, FlowsOfOtherNamespacesAreIgnored) {
    flow(1, out_);
    flows_[0].key.scope = 4026532000;
    period();
    EXPECT_EQ(owner(out_, 10), 0u);
}

}  // namespace
}  // namespace flowd::diag
