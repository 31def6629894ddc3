// SPDX-License-Identifier: Apache-2.0
#include "backends/view/flow_walk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "flowd/testing/fake_host.hpp"
#include "tests/unit/view/flows.hpp"

namespace flowd::view {
namespace {

using test::flow_of;
using test::moved;

class FlowWalkTest : public ::testing::Test {
  protected:
    void walk() {
        walk_.begin();
        while (walk_.step()) {
        }
    }
    testing::FakeHost fake_{"view"};
    std::unique_ptr<Host> host_ = Host::make(fake_.raw()).value();
    FlowWalk walk_{*host_, std::chrono::nanoseconds(0)};
};

TEST_F(FlowWalkTest, FlowsAreCountedByTagAndRemoteNetwork) {
    fake_.add_flow(flow_of(1));
    fake_.add_flow(flow_of(2));
    fake_.add_flow(flow_of(3, {5, 1}));
    flowd_flow incoming = flow_of(4);
    incoming.local = FLOWD_LOCAL_DESTINATION;
    fake_.add_flow(incoming);
    walk();
    EXPECT_EQ(walk_.all().flows, 4u);
    EXPECT_EQ(walk_.tags().at({2, 3}).flows, 3u);
    EXPECT_EQ(walk_.tags().at({5, 1}).flows, 1u);
    ASSERT_EQ(walk_.networks().size(), 2u);
    EXPECT_EQ(walk_.networks()[0].first.to_string(), "2001:db8:2::/48");
    EXPECT_EQ(walk_.networks()[0].second.flows, 3u);
    EXPECT_EQ(walk_.networks()[1].first.to_string(), "2001:db8:1::/48")
        << "the remote end of an incoming flow is its source";
}

TEST_F(FlowWalkTest, ARateIsTheBytesSinceTheLastChange) {
    flowd_flow incoming = moved(flow_of(2), 1000, 0);
    incoming.local = FLOWD_LOCAL_DESTINATION;
    fake_.add_flow(moved(flow_of(1), 1000, 0));
    fake_.add_flow(incoming);
    walk();
    EXPECT_EQ(walk_.all().out, 0) << "what was sent before is no throughput of now";
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // a rate needs some time between two counts
    fake_.remove_flows();
    fake_.add_flow(moved(flow_of(1), 1'001'000, 0));
    incoming.usage.bytes_sent = 501'000;
    fake_.add_flow(incoming);
    walk();
    EXPECT_GT(walk_.all().out, 0);
    EXPECT_LE(walk_.all().out, 1e6 / 0.020);
    EXPECT_NEAR(walk_.all().in, walk_.all().out / 2, walk_.all().out / 100) << "sent by the remote end is in";
    walk();
    EXPECT_GT(walk_.all().out, 0) << "no new count yet: the rate holds";
    fake_.remove_flows();
    walk();
    EXPECT_EQ(walk_.all().out, 0);
}

TEST_F(FlowWalkTest, ARateIsNotMeasuredOverLessThanTheShortestTime) {
    FlowWalk slow(*host_, std::chrono::hours(1));
    const auto walk = [&] {
        slow.begin();
        while (slow.step()) {
        }
    };
    fake_.add_flow(moved(flow_of(1), 1000, 0));
    walk();
    fake_.remove_flows();
    fake_.add_flow(moved(flow_of(1), 1'001'000, 0));
    walk();
    EXPECT_EQ(slow.all().out, 0);
}

TEST_F(FlowWalkTest, VeryManyTagsShareOneEntry) {
    for (std::uint16_t n = 1; n <= 2000; ++n) fake_.add_flow(flow_of(n, {n, 1}));
    walk();
    EXPECT_LE(walk_.tags().size(), FlowWalk::most_tags + 1);
    EXPECT_EQ(walk_.tags().at(FlowWalk::other).flows, 2000 - FlowWalk::most_tags);
}

TEST_F(FlowWalkTest, ASelectionTakesPartAsLongAsSomebodyHoldsIt) {
    fake_.add_flow(flow_of(1));
    auto selection = std::make_shared<Selection>(Selection::parse("", "", Registry()).value());
    walk_.add(selection);
    walk();
    EXPECT_EQ(selection->matched(), 1u);
    std::weak_ptr<Selection> gone = selection;
    selection.reset();
    walk();
    EXPECT_TRUE(gone.expired());
}

}  // namespace
}  // namespace flowd::view
