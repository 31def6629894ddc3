// SPDX-License-Identifier: Apache-2.0
#include "@NAME@.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <fstream>
#include <vector>

#include "flowd/testing.hpp"

namespace {

using flowd::testing::Config;
using flowd::testing::FakeHost;
using flowd::testing::Instance;
using @NAME@_module::@CLASS@;

flowd_flow flow(std::uint64_t id, std::uint8_t protocol) {
    flowd_flow flow{};
    flow.size = sizeof flow;
    flow.flow_id = id;
    flow.key.protocol = protocol;
    return flow;
}

TEST(@CLASS@, SamplesTcpFlowsOnly) {
    const std::string path = ::testing::TempDir() + "@NAME@-congestion";
    std::ofstream(path) << "bbr\n";
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>(), Config(flowd::component<@CLASS@>()).set("file", path));
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);

    const std::vector<flowd_flow> flows{flow(1, IPPROTO_TCP), flow(2, IPPROTO_UDP)};
    const auto samples = instance.sample(flows);
    ASSERT_EQ(samples.size(), 1u);
    EXPECT_EQ(samples[0].sample.flow_id, 1u);
    EXPECT_EQ(samples[0].congestion, "bbr");
}

TEST(@CLASS@, SaysWhichFileItCannotRead) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>(), Config(flowd::component<@CLASS@>()).set("file", "/nowhere/x"));
    EXPECT_EQ(instance.bring_up(), FLOWD_NOT_FOUND);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_NE(host.problems()[0].message.find("/nowhere/x"), std::string::npos);
}

}  // namespace
