// SPDX-License-Identifier: Apache-2.0
// The marker as an instance, in a network namespace of the test's own.
#include "backends/marker/marker.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>

#include "flowd/key.hpp"
#include "flowd/testing.hpp"

namespace flowd::test {
namespace {

using flowd::testing::Config;
using flowd::testing::FakeHost;
using flowd::testing::Instance;

struct MarkerInstance : ::testing::Test {
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs";
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
        ASSERT_EQ(std::system("ip link add marked type veth peer name other"), 0);
        ASSERT_EQ(instance.create(), FLOWD_OK);
        ASSERT_EQ(instance.prepare(), FLOWD_OK);
    }
    FakeHost host;
    Instance instance{host, component<marker::Marker>(),
                      Config(component<marker::Marker>()).set("targetInterfaces", {"marked"})};
};

TEST_F(MarkerInstance, ExplainsThatAFlowIsInAnotherNetworkNamespace) {
    flowd_flow flow{};
    flow.size = sizeof flow;
    flow.flow_id = 7;
    flow.key = make_key({*Address::parse("2001:db8::1"), 1}, {*Address::parse("2001:db8::2"), 2}, IPPROTO_TCP);
    flow.key.scope = 4026531840;
    EXPECT_EQ(instance.explain(flow),
              std::vector<std::string>{"other-namespace: The flow is in another network namespace."});
    EXPECT_EQ(instance.stop(), FLOWD_OK);
}

TEST_F(MarkerInstance, PublishesItsInterfacesInPrepare) {
    ASSERT_EQ(host.published_interfaces().size(), 1u);
    EXPECT_EQ(host.published_interfaces()[0].use, FLOWD_INTERFACE_MARKS);
    EXPECT_EQ(host.published_interfaces()[0].index, ::if_nametoindex("marked"));
    EXPECT_EQ(host.published_interfaces()[0].marks, std::uint32_t{FLOWD_MARKS_IPV6});
    EXPECT_EQ(instance.stop(), FLOWD_OK);
}

}  // namespace
}  // namespace flowd::test
