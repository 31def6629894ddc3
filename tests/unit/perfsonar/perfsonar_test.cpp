// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/perfsonar.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "flowd/testing.hpp"

namespace flowd {
namespace {

using testing::Config;
using testing::FakeHost;
using testing::Instance;

Config config_of(const char* experiment, const char* activity) {
    Config config(component<perfsonar::Perfsonar>());
    return config.set("experimentId", experiment).set("activityId", activity).set("flows", "false");
}

class PerfsonarTest : public ::testing::Test {
  protected:
    FakeHost host_{"perfsonar"};
    Instance instance_{host_, component<perfsonar::Perfsonar>(), config_of("2", "7")};
};

TEST_F(PerfsonarTest, SetsTheCatchAllFromItsStartToItsStop) {
    ASSERT_EQ(instance_.bring_up(), FLOWD_OK);
    ASSERT_EQ(host_.events().size(), 1u);
    EXPECT_EQ(host_.events()[0]->kind, FLOWD_EVENT_CATCH_ALL);
    EXPECT_EQ(host_.events()[0]->tag.experiment, 2u);
    EXPECT_EQ(host_.events()[0]->tag.activity, 7u);

    ASSERT_EQ(instance_.stop(), FLOWD_OK);
    ASSERT_EQ(host_.events().size(), 2u);
    EXPECT_EQ(host_.events()[1]->kind, FLOWD_EVENT_CATCH_ALL_CLEAR);
}

TEST_F(PerfsonarTest, ASecondStopDoesNotClearAgain) {
    ASSERT_EQ(instance_.bring_up(), FLOWD_OK);
    EXPECT_EQ(instance_.stop(), FLOWD_OK);
    EXPECT_EQ(instance_.stop(), FLOWD_OK);
    EXPECT_EQ(host_.events().size(), 2u);
}

TEST_F(PerfsonarTest, AStopWithoutStartEmitsNothing) {
    ASSERT_EQ(instance_.create(), FLOWD_OK);
    EXPECT_EQ(instance_.stop(), FLOWD_OK);
    EXPECT_TRUE(host_.events().empty());
}

TEST_F(PerfsonarTest, WithFullQueuesTheTagIsSetOnceThereIsRoom) {
    host_.accept(0);
    ASSERT_EQ(instance_.bring_up(), FLOWD_OK);
    EXPECT_TRUE(host_.events().empty());
    EXPECT_NE(instance_.status().find("waiting for the bus"), std::string::npos);

    host_.accept_all();
    instance_.on_room();
    EXPECT_EQ(host_.events().size(), 1u);
    instance_.on_room();
    EXPECT_EQ(host_.events().size(), 1u);
}

TEST_F(PerfsonarTest, ARefusedTagFailsTheStartWithAReason) {
    host_.accept(0, FLOWD_LIMIT);
    EXPECT_EQ(instance_.bring_up(), FLOWD_LIMIT);
    ASSERT_EQ(host_.problems().size(), 1u);
    EXPECT_EQ(host_.problems()[0].message, "the core refused the catch-all tag");
}

TEST_F(PerfsonarTest, AnErrorOfTheCoreAtTheStartIsRetried) {
    host_.accept(0, FLOWD_NO_MEMORY);
    ASSERT_EQ(instance_.bring_up(), FLOWD_OK);
    EXPECT_NE(instance_.status().find("waiting for the bus"), std::string::npos);
    host_.accept_all();
    host_.advance(std::chrono::seconds(1));
    EXPECT_EQ(host_.events().size(), 1u);
    EXPECT_NE(instance_.status().find("\"catchAll\":\"announced\""), std::string::npos) << instance_.status();
}

TEST_F(PerfsonarTest, ATagThatIsRefusedOnceThereIsRoomIsReported) {
    host_.accept(0);
    ASSERT_EQ(instance_.bring_up(), FLOWD_OK);
    host_.accept(0, FLOWD_LIMIT);
    instance_.on_room();
    EXPECT_NE(instance_.status().find("\"catchAll\":\"refused\""), std::string::npos) << instance_.status();
    ASSERT_EQ(host_.problems().size(), 1u);
    EXPECT_EQ(host_.problems()[0].message, "the core refused the catch-all tag");
}

TEST_F(PerfsonarTest, ANewTagReplacesTheOldOneWithoutAGap) {
    ASSERT_EQ(instance_.bring_up(), FLOWD_OK);
    ASSERT_EQ(instance_.reconfigure(config_of("3", "9")), FLOWD_OK);
    ASSERT_EQ(host_.events().size(), 2u);
    EXPECT_EQ(host_.events()[1]->kind, FLOWD_EVENT_CATCH_ALL);
    EXPECT_EQ(host_.events()[1]->tag.experiment, 3u);
}

TEST_F(PerfsonarTest, ARefusedNewTagLeavesTheOldOneInForce) {
    ASSERT_EQ(instance_.bring_up(), FLOWD_OK);
    host_.accept(0, FLOWD_INVALID);
    EXPECT_EQ(instance_.reconfigure(config_of("3", "9")), FLOWD_INVALID);
    EXPECT_NE(instance_.status().find("\"experiment\":2"), std::string::npos) << instance_.status();
    EXPECT_NE(instance_.status().find("\"catchAll\":\"announced\""), std::string::npos) << instance_.status();
    host_.accept_all();
    ASSERT_EQ(instance_.stop(), FLOWD_OK);
    EXPECT_EQ(host_.events().back()->kind, FLOWD_EVENT_CATCH_ALL_CLEAR);
}

TEST_F(PerfsonarTest, ItsStatusNamesTheTagAndItsLabel) {
    host_.add_experiment(2, "atlas");
    host_.add_activity(2, 7, "data transfer");
    ASSERT_EQ(instance_.bring_up(), FLOWD_OK);
    EXPECT_EQ(instance_.status(),
              "{\"summary\":\"tags all traffic without a tag of its "
              "own\",\"catchAll\":\"announced\",\"experiment\":2,\"experimentName\":\"atlas\",\"activity\":7,"
              "\"activityName\":\"data transfer\",\"flowLabel\":65564}");
}

TEST(PerfsonarInterfaces, InterfacesMarkedAtTheStartAreMeteredOnceItHasStarted) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs";
    // On a thread, which takes its network namespace with it.
    std::thread([] {
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
        ASSERT_EQ(std::system("ip link add marked type veth peer name other"), 0);
        const std::uint32_t index = ::if_nametoindex("marked");
        FakeHost host;
        host.set_interfaces({{FLOWD_INTERFACE_MARKS, index, "marked", "configured"}});
        Instance instance(host, component<perfsonar::Perfsonar>(), config_of("2", "7").set("flows", "true"));
        ASSERT_EQ(instance.bring_up(), FLOWD_OK);
        ASSERT_EQ(host.published_interfaces().size(), 1u);
        EXPECT_EQ(host.published_interfaces()[0].use, FLOWD_INTERFACE_METERS);
        EXPECT_EQ(host.published_interfaces()[0].index, index);
        EXPECT_EQ(instance.stop(), FLOWD_OK);
    }).join();
}

TEST(PerfsonarOptionsTest, NoValidTagIsAWarningBecauseItMarksNothing) {
    FakeHost host;
    Instance instance(host, component<perfsonar::Perfsonar>(), config_of("0", "0"));
    EXPECT_EQ(instance.validate(), FLOWD_OK);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].level, static_cast<flowd_level>(FLOWD_LEVEL_WARNING));
    EXPECT_NE(host.problems()[0].message.find("nothing will be marked"), std::string::npos);
}

TEST(PerfsonarOptionsTest, FlowdGosSpellingsAreKnown) {
    FakeHost host;
    Config config(component<perfsonar::Perfsonar>());
    config.set("experimentID", "5").set("activityID", "6").set("flows", "false");
    Instance instance(host, component<perfsonar::Perfsonar>(), config);
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    EXPECT_EQ(host.events()[0]->tag.experiment, 5u);
    EXPECT_EQ(host.events()[0]->tag.activity, 6u);
}

TEST(PerfsonarOptionsTest, TagsThatDoNotFitALabelAreOutOfRange) {
    const flowd_option* rows = perfsonar::PerfsonarOptions::table().rows();
    EXPECT_STREQ(rows[0].name, "experimentId");
    EXPECT_EQ(rows[0].maximum, 511);
    EXPECT_STREQ(rows[1].name, "activityId");
    EXPECT_EQ(rows[1].maximum, 63);
    EXPECT_NE(rows[0].flags & FLOWD_OPTION_REQUIRED, 0u);
}

}  // namespace
}  // namespace flowd
