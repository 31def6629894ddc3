// SPDX-License-Identifier: Apache-2.0
// Real connections of another process, told by the kernel's side. Needs root.
#include "plugins/iperf3/iperf3.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "flowd/testing.hpp"
#include "lib/watch/cgroup.hpp"
#include "tests/unit/diag/connections.hpp"
#include "tests/unit/netlink/foreign.hpp"

namespace flowd::iperf3 {
namespace {

using diag::Listener;
using diag::Pair;
using netlink::Foreign;
using testing::Config;
using testing::FakeHost;
using testing::Instance;
using testing::RecordedEvent;

class Iperf3Test : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root: it loads a BPF program";
        if (watch::cgroup_root().empty()) GTEST_SKIP() << "control groups of version 2 are mounted nowhere";
    }
    Config config() {
        const std::string port = std::to_string(listener_.port());
        return Config(component<Iperf3>()).set("minDestinationPort", port).set("maxDestinationPort", port);
    }
    void start(Config config) {
        plugin_ = std::make_unique<Instance>(host_, component<Iperf3>(), std::move(config));
        ASSERT_EQ(plugin_->bring_up(), FLOWD_OK);
    }
    bool wait_for_events(std::size_t count) {
        return host_.run_until([&] { return host_.events().size() >= count; });
    }
    /// So many connections, one after the other, each with as many bytes as its number.
    std::function<void()> connections(int count) {
        return [this, count] {
            for (int i = 1; i <= count; ++i) {
                Pair pair(listener_, "127.0.0.1");
                pair.send(static_cast<std::size_t>(i));
            }
        };
    }

    FakeHost host_;
    Listener listener_{"::"};
    std::unique_ptr<Instance> plugin_;
};

TEST_F(Iperf3Test, TagsAreAssignedInTurnAndKeptForTheConnection) {
    start(config().set("experimentIDs", "[1, 2, 3]").set("activityIDs", "[10, 20, 30]"));
    Foreign other({connections(6)});
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(12));
    const auto events = host_.events();
    std::map<std::uint32_t, int> seen;
    for (std::size_t i = 0; i < events.size(); i += 2) {
        EXPECT_EQ(events[i]->kind, std::uint32_t{FLOWD_EVENT_START});
        EXPECT_EQ(events[i + 1]->kind, std::uint32_t{FLOWD_EVENT_END});
        EXPECT_EQ(events[i]->tag.activity, events[i]->tag.experiment * 10);
        EXPECT_TRUE(same_tag(events[i]->tag, events[i + 1]->tag));
        EXPECT_EQ(events[i + 1]->usage.bytes_sent, i / 2 + 1);
        EXPECT_LE(events[i + 1]->start_time_ns, events[i + 1]->end_time_ns);
        ++seen[events[i]->tag.experiment];
    }
    EXPECT_EQ(seen, (std::map<std::uint32_t, int>{{1, 2}, {2, 2}, {3, 2}}));
}

TEST_F(Iperf3Test, RandomTagsAreFromTheList) {
    start(config().set("randomIDs", "true").set("experimentIDs", "[5, 6]").set("activityIDs", "[50, 60]"));
    Foreign other({connections(40)});
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(80));
    std::map<std::uint32_t, int> seen;
    for (const RecordedEvent& event : host_.events()) {
        EXPECT_EQ(event->tag.activity, event->tag.experiment * 10);
        ++seen[event->tag.experiment];
    }
    EXPECT_EQ(seen.size(), 2u) << "one of two in forty tries is one in 2^39";
}

TEST_F(Iperf3Test, OtherPortsAreIgnored) {
    const std::string port = std::to_string(listener_.port() == 65535 ? 1 : listener_.port() + 1);
    start(config().set("minDestinationPort", port).set("maxDestinationPort", port));
    Foreign other({connections(3)});
    ASSERT_TRUE(other.step());
    host_.advance(std::chrono::seconds(1));
    EXPECT_TRUE(host_.events().empty());
    EXPECT_EQ(plugin_->status().find(R"({"summary":"announces 0 connections in its port ranges",)"), 0u)
        << plugin_->status();
}

TEST_F(Iperf3Test, WithFullQueuesNothingIsLost) {
    start(config());
    host_.accept(3);
    Foreign other({connections(50)});
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(3));
    host_.advance(std::chrono::seconds(1));
    EXPECT_EQ(host_.events().size(), 3u);
    host_.accept_all();
    plugin_->on_room();
    ASSERT_TRUE(wait_for_events(100));
}

TEST_F(Iperf3Test, PairsOfIdsAndPortsInOrderAreRequired) {
    Instance pairs(host_, component<Iperf3>(), config().set("activityIDs", "[1]"));
    EXPECT_EQ(pairs.validate(), FLOWD_INVALID);
    EXPECT_EQ(host_.problems().back().option, "activityIDs");
    Instance ports(host_, component<Iperf3>(), config().set("minDestinationPort", "9").set("maxDestinationPort", "8"));
    EXPECT_EQ(ports.validate(), FLOWD_INVALID);
    EXPECT_EQ(host_.problems().back().option, "minDestinationPort");
}

}  // namespace
}  // namespace flowd::iperf3
