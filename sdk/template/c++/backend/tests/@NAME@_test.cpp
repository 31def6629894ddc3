// SPDX-License-Identifier: Apache-2.0
#include "@NAME@.hpp"

#include <gtest/gtest.h>

#include "flowd/testing.hpp"

namespace {

using flowd::Event;
using flowd::testing::Config;
using flowd::testing::FakeHost;
using flowd::testing::Instance;
using @NAME@_module::@CLASS@;

flowd_key key() {
    return flowd::make_key({*flowd::Address::parse("2001:db8::1"), 1000}, {*flowd::Address::parse("2001:db8::2"), 443}, 6);
}

Event of_flow_1(Event event) {
    event->flow_id = 1;
    return event;
}
Event start(flowd_tag tag) { return of_flow_1(Event::start(key(), tag)); }
Event ongoing(flowd_tag tag) { return of_flow_1(Event::ongoing(key(), tag)); }
Event end(flowd_tag tag) { return of_flow_1(Event::end(key(), tag)); }

TEST(@CLASS@, WritesALineAndCounts) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    ASSERT_EQ(instance.deliver(start({2, 7})), FLOWD_OK);
    EXPECT_TRUE(host.logged("start [2001:db8::1]:1000 [2001:db8::2]:443 2/7"));
    EXPECT_EQ(host.metric("@NAME@_flows_total{event=\"start\"}")->value, 1);
    EXPECT_EQ(instance.status(), "{\"live\":1,\"quiet\":false}");
    ASSERT_EQ(instance.deliver(end({2, 7})), FLOWD_OK);
    EXPECT_EQ(instance.status(), "{\"live\":0,\"quiet\":false}");
}

TEST(@CLASS@, ARepeatedStartIsARefreshAndAnotherTagARetag) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    ASSERT_EQ(instance.deliver(start({2, 7})), FLOWD_OK);
    ASSERT_EQ(instance.deliver(start({2, 7})), FLOWD_OK);
    ASSERT_EQ(instance.deliver(ongoing({2, 8})), FLOWD_OK);
    EXPECT_EQ(host.metric("@NAME@_flows_total{event=\"start\"}")->value, 1);
    EXPECT_EQ(host.metric("@NAME@_flows_total{event=\"retag\"}")->value, 1);
    EXPECT_TRUE(host.logged("retag [2001:db8::1]:1000 [2001:db8::2]:443 2/8"));
}

TEST(@CLASS@, IsQuietWhenToldByConfigurationOrCommand) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>(), Config(flowd::component<@CLASS@>()).set("quiet", "true"));
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    ASSERT_EQ(instance.deliver(start({2, 7})), FLOWD_OK);
    EXPECT_TRUE(host.lines().empty());
    EXPECT_EQ(instance.command({"quiet", "off"}).json, "false");
    EXPECT_EQ(instance.command({"quiet", "maybe"}).result, FLOWD_INVALID);
    ASSERT_EQ(instance.deliver(end({2, 7})), FLOWD_OK);
    EXPECT_EQ(host.lines().size(), 1u);
}

}  // namespace
