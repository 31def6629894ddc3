// SPDX-License-Identifier: Apache-2.0
#include "@NAME@.hpp"

#include <gtest/gtest.h>

#include "flowd/testing.hpp"

namespace {

using flowd::testing::Config;
using flowd::testing::FakeHost;
using flowd::testing::Instance;
using @NAME@_module::@CLASS@;

Config config(const char* destination = "2001:db8::2") {
    return Config(flowd::component<@CLASS@>())
        .set("source", "2001:db8::1")
        .set("sourcePort", "40000")
        .set("destination", destination)
        .set("experimentId", "2")
        .set("activityId", "7");
}

TEST(@CLASS@, AnnouncesItsFlowFromStartToStop) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>(), config());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    ASSERT_EQ(host.events().size(), 1u);
    EXPECT_EQ(host.events()[0]->kind, FLOWD_EVENT_START);
    EXPECT_EQ(host.events()[0]->key.destination_port, 443);
    EXPECT_EQ(host.events()[0].rule, "the configuration");
    EXPECT_EQ(instance.status(), "{\"summary\":\"announces one flow\",\"announced\":true,\"destination\":\"[2001:db8::2]:443\"}");

    ASSERT_EQ(instance.stop(), FLOWD_OK);
    ASSERT_EQ(host.events().size(), 2u);
    EXPECT_EQ(host.events()[1]->kind, FLOWD_EVENT_END);
    EXPECT_EQ(host.events()[1]->end_reason, FLOWD_END_WITHDRAWN);
}

TEST(@CLASS@, RetagsItsFlowWhenItsTagIsReconfigured) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>(), config());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    ASSERT_EQ(instance.reconfigure(config().set("activityId", "8")), FLOWD_OK);
    ASSERT_EQ(host.events().size(), 2u);
    EXPECT_EQ(host.events()[1]->kind, FLOWD_EVENT_START);
    EXPECT_EQ(host.events()[1]->tag.activity, 8u);
    EXPECT_EQ(instance.reconfigure(config("2001:db8::3")), FLOWD_UNSUPPORTED) << "another flow needs a new instance";
}

TEST(@CLASS@, TriesAgainWhenThereIsRoom) {
    FakeHost host;
    host.accept(0);
    Instance instance(host, flowd::component<@CLASS@>(), config());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    EXPECT_TRUE(host.events().empty());
    host.accept_all();
    instance.on_room();
    EXPECT_EQ(host.events().size(), 1u);
}

TEST(@CLASS@, RefusesAFlowToItself) {
    FakeHost host;
    Instance instance(host, flowd::component<@CLASS@>(), config("2001:db8::1"));
    EXPECT_EQ(instance.validate(), FLOWD_INVALID);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].option, "destination");
}

}  // namespace
