// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/rules.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "flowd/testing.hpp"
#include "plugins/netlink/netlink.hpp"

namespace flowd::netlink {
namespace {

using Kind = Decision::Kind;

Endpoint end(const char* address, std::uint16_t port) {
    return {Address::parse(address).value(), port};
}

class RulesTest : public ::testing::Test {
  protected:
    RuleOptions& rule(std::uint32_t experiment, std::uint32_t activity) {
        RuleOptions& added = options_.emplace_back();
        added.experiment = experiment;
        added.activity = activity;
        return added;
    }
    RuleOptions& ignore() {
        RuleOptions& added = options_.emplace_back();
        added.ignore = true;
        return added;
    }
    Decision decide() { return Rules(options_, fallback_).decide(facts_, now_); }
    std::uint32_t experiment() {
        const Decision decision = decide();
        return decision.kind == Kind::tagged ? decision.tag.experiment : 0;
    }

    std::vector<RuleOptions> options_;
    std::optional<flowd_tag> fallback_;
    Surroundings now_;
    Facts facts_{end("2001:db8::1", 1094), end("2001:db8:1::9", 40000), Direction::incoming, 1000, 77, 0};
};

TEST_F(RulesTest, TheFirstThatMatchesDecides) {
    rule(1, 1).local_ports = {"8443"};
    rule(2, 2).local_ports = {"1090-1099"};
    rule(3, 3);
    EXPECT_EQ(experiment(), 2u);
    EXPECT_EQ(decide().rule, 1);
}

TEST_F(RulesTest, WithoutAMatchTheDefaultTagOrNoneIsUsed) {
    rule(1, 1).local_ports = {"8443"};
    EXPECT_EQ(decide().kind, Kind::none);
    fallback_ = flowd_tag{9, 9};
    EXPECT_EQ(experiment(), 9u);
    EXPECT_EQ(decide().rule, -1);
}

TEST_F(RulesTest, IgnoreEndsTheSearch) {
    ignore().remote_networks = {Network::parse("2001:db8:1::/48").value()};
    rule(1, 1);
    EXPECT_EQ(decide().kind, Kind::ignored);
}

TEST_F(RulesTest, EveryConditionOfARuleHasToHold) {
    RuleOptions& one = rule(1, 1);
    one.local_ports = {"1094"};
    one.remote_ports = {"40000"};
    one.remote_networks = {Network::parse("2001:db8:1::/48").value()};
    one.direction = Direction::incoming;
    one.user = "1000";
    EXPECT_EQ(experiment(), 1u);
    for (const auto& spoil :
         std::vector<std::function<void()>>{[&] { facts_.local.port = 1095; }, [&] { facts_.remote.port = 1; },
                                            [&] { facts_.remote = end("2001:db8:2::9", 40000); },
                                            [&] { facts_.direction = Direction::outgoing; }, [&] { facts_.user = 0; }}) {
        const Facts before = facts_;
        spoil();
        EXPECT_EQ(decide().kind, Kind::none);
        facts_ = before;
    }
}

TEST_F(RulesTest, PortRangesIncludeBothEnds) {
    rule(1, 1).local_ports = {"1090-1094", "2000"};
    EXPECT_EQ(experiment(), 1u);
    facts_.local.port = 1090;
    EXPECT_EQ(experiment(), 1u);
    facts_.local.port = 1095;
    EXPECT_EQ(experiment(), 0u);
    for (const char* wrong : {"", "0", "65536", "1094-", "-1094", "2000-1000", "1 2", "http", "1-2-3"})
        EXPECT_FALSE(PortRange::parse(wrong)) << wrong;
}

TEST_F(RulesTest, AnInterfaceIsMatchedByItsAddressesOrByBinding) {
    now_.interfaces["eth0"] = {2, {facts_.local.address}};
    now_.interfaces["eth1"] = {3, {}};
    rule(1, 1).interface = "eth0";
    EXPECT_EQ(experiment(), 1u);
    facts_.interface = 3;
    EXPECT_EQ(experiment(), 0u) << "it is bound to eth1";
    options_[0].interface = "eth9";
    EXPECT_EQ(experiment(), 0u);
}

TEST_F(RulesTest, AControlGroupIncludesItsDescendants) {
    now_.cgroups[77] = "/sys/fs/cgroup/storage.slice/dcache";
    rule(1, 1).cgroup = "/sys/fs/cgroup/storage.slice/";
    EXPECT_EQ(experiment(), 1u);
    now_.cgroups[77] = "/sys/fs/cgroup/storage.slice";
    EXPECT_EQ(experiment(), 1u);
    now_.cgroups[77] = "/sys/fs/cgroup/storage.slice2";
    EXPECT_EQ(experiment(), 0u);
    now_.cgroups.clear();
    EXPECT_EQ(experiment(), 0u);
}

TEST_F(RulesTest, AnUnknownFactMattersOnlyIfARuleNeedsIt) {
    facts_.user = std::nullopt;
    facts_.cgroup = std::nullopt;
    RuleOptions& storage = rule(1, 1);
    storage.local_ports = {"1094"};
    storage.user = "1000";
    rule(2, 2);
    EXPECT_EQ(decide().kind, Kind::undecided);
    facts_.local.port = 22;  // the rule is out of the question for another reason
    EXPECT_EQ(experiment(), 2u);
}

TEST_F(RulesTest, ProblemsHavePositions) {
    testing::FakeHost host;
    const auto problem = [&](testing::Config config) {
        testing::Instance instance(host, component<Netlink>(), std::move(config));
        EXPECT_EQ(instance.validate(), FLOWD_INVALID);
        return host.problems().empty() ? std::string()
                                       : host.problems().back().option + ": " + host.problems().back().message;
    };
    const auto config = [] { return testing::Config(component<Netlink>()); };
    EXPECT_EQ(problem(config()).find("rules: "), 0u);
    EXPECT_EQ(problem(config().set("experiment", "2")).find("activity: "), 0u);
    EXPECT_EQ(problem(config().set("rules[0].ignore", "true").set("rules[0].localPorts", {"1094", "none"}))
                  .find("rules[0].localPorts[1]: "),
              0u);
    EXPECT_EQ(problem(config().set("rules[0].localPorts", {"1094"})).find("rules[0]: "), 0u);
    EXPECT_EQ(problem(config().set("rules[0].ignore", "true").set("rules[0].user", "nobody-of-that-name"))
                  .find("rules[0].user: "),
              0u);
    EXPECT_EQ(problem(config().set("rules[0].ignore", "true").set("rules[0].activity", "1")).find("rules[0]: "), 0u);
}

}  // namespace
}  // namespace flowd::netlink
