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

TEST(@CLASS@, WritesALineAndCounts) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    ASSERT_EQ(instance.deliver(Event::start(key(), {2, 7})), FLOWD_OK);
    EXPECT_TRUE(host.logged("start [2001:db8::1]:1000 [2001:db8::2]:443"));
    EXPECT_EQ(host.metric("@NAME@_flows_total{event=\"start\"}")->value, 1);
    EXPECT_EQ(instance.status(), "{\"live\":1,\"quiet\":false}");
    ASSERT_EQ(instance.deliver(Event::end(key(), {2, 7})), FLOWD_OK);
    EXPECT_EQ(instance.status(), "{\"live\":0,\"quiet\":false}");
}

TEST(@CLASS@, IsQuietWhenToldByConfigurationOrCommand) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>(), Config(flowd::component<@CLASS@>()).set("quiet", "true"));
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    ASSERT_EQ(instance.deliver(Event::start(key(), {2, 7})), FLOWD_OK);
    EXPECT_TRUE(host.lines().empty());
    EXPECT_EQ(instance.command({"quiet", "off"}).json, "false");
    EXPECT_EQ(instance.command({"quiet", "maybe"}).result, FLOWD_INVALID);
    ASSERT_EQ(instance.deliver(Event::end(key(), {2, 7})), FLOWD_OK);
    EXPECT_EQ(host.lines().size(), 1u);
}

}  // namespace
