// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/metrics/metrics.hpp"
#include "flowd/testing/instance.hpp"

namespace flowd::metrics {
namespace {

Options at(std::optional<std::uint16_t> port, std::optional<std::uint16_t> netlink, std::optional<std::uint16_t> skops) {
    Options options;
    options.bind_address = *Address::parse("::1");
    options.port = port;
    options.netlink_port = netlink;
    options.skops_port = skops;
    return options;
}

/// "8080 netlink daemon": port, flavour, and whether the daemon's own series are there.
std::vector<std::string> listeners_of(const Options& options) {
    std::vector<std::string> all;
    for (const Listener& one : options.listeners())
        all.push_back(std::to_string(one.endpoint.port) + " " + one.selection.flavour +
                      (one.selection.daemon ? " daemon" : ""));
    return all;
}

using ::testing::ElementsAre;

TEST(MetricsOptions, FlowdGosTwoPortsAreTheDefault) {
    EXPECT_THAT(listeners_of(at({}, {}, {})), ElementsAre("8080 netlink daemon", "8081 skops"));
    EXPECT_THAT(listeners_of(at({}, 0, {})), ElementsAre("8081 skops daemon"));
    EXPECT_THAT(listeners_of(at({}, 9000, 0)), ElementsAre("9000 netlink daemon"));
}

TEST(MetricsOptions, OnePortReplacesThem) {
    EXPECT_THAT(listeners_of(at(9100, {}, {})), ElementsAre("9100  daemon"));
    EXPECT_THAT(listeners_of(at(9100, {}, 8081)), ElementsAre("9100  daemon", "8081 skops"));
}

std::vector<std::string> problems_of(testing::Config config) {
    testing::FakeHost host("metrics");
    testing::Instance instance(host, component<Metrics>(), std::move(config));
    (void)instance.validate();
    std::vector<std::string> all;
    for (const Problem& problem : host.problems()) all.push_back(problem.option);
    return all;
}

TEST(MetricsOptions, ContradictoryOptionsAreReported) {
    EXPECT_THAT(problems_of(testing::Config(component<Metrics>())), ElementsAre());
    EXPECT_THAT(
        problems_of(testing::Config(component<Metrics>()).set("port", "0").set("netlinkPort", "0").set("skopsPort", "0")),
        ElementsAre("port"));
    EXPECT_THAT(problems_of(testing::Config(component<Metrics>()).set("skopsPort", "8080")), ElementsAre("skopsPort"));
    EXPECT_THAT(problems_of(testing::Config(component<Metrics>()).set("bindAddress", "::")), ElementsAre("tokenFile"));
    EXPECT_THAT(problems_of(testing::Config(component<Metrics>()).set("perFlow", "false").set("maxFlows", "9")),
                ElementsAre("maxFlows"));
}

}  // namespace
}  // namespace flowd::metrics
