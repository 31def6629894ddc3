// SPDX-License-Identifier: Apache-2.0
// What the core itself finds: each finding is brought about, is alone, and goes with its cause.
#include "core/service/own_findings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flowd::core::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct OwnFindingsTest : ::testing::Test {
    OwnFindingsTest() {
        bus_.backends.resize(1);
        bus_.backends[0].name = "marker";
        bus_.announcers.resize(1);
        bus_.announcers[0].name = "api";
        own_.set_in_force(on_disk_, {});
    }
    /// "severity id subject" of each.
    std::vector<std::string> look() {
        std::vector<std::string> found;
        for (const Finding& one : own_.look()) {
            EXPECT_NE(one.found, "");
            EXPECT_NE(one.expected, "");
            EXPECT_NE(one.remedy, "");
            found.push_back(std::string(severity_name(one.severity)) + " " + one.id + " " + one.subject);
        }
        return found;
    }

    BusCounters bus_;
    std::vector<SourceFile> on_disk_{{"/etc/conf.yaml", 1}, {"/etc/conf.d/a.yaml", 2}};
    std::vector<std::filesystem::path> changed_modules_;
    bool synchronised_ = true;
    std::int64_t now_ns_ = 1;
    std::vector<UnregisteredTags::Count> unregistered_tags_;
    OwnFindings own_{{[this] { return bus_; }, [this] { return on_disk_; }, [this] { return changed_modules_; },
                      [this] { return synchronised_; }, [this] { return now_ns_; }, [this] { return unregistered_tags_; }}};
};

TEST_F(OwnFindingsTest, AHealthyDaemonHasNone) {
    EXPECT_THAT(look(), IsEmpty());
}

TEST_F(OwnFindingsTest, ConfigurationFilesChangedButNotLoadedAreFound) {
    on_disk_ = {{"/etc/conf.yaml", 9}, {"/etc/conf.d/b.yaml", 3}};
    EXPECT_THAT(look(), ElementsAre("warning daemon-configuration-changed /etc/conf.yaml",
                                    "warning daemon-configuration-changed /etc/conf.d/a.yaml",
                                    "warning daemon-configuration-changed /etc/conf.d/b.yaml"));
    own_.set_in_force(on_disk_, {});
    EXPECT_THAT(look(), IsEmpty()) << "they were loaded";
}

TEST_F(OwnFindingsTest, WhatIsAmissWithTheConfigurationAsLongAsItIsInForce) {
    own_.set_in_force(on_disk_, {{FLOWD_LEVEL_WARNING, "daemon-no-sink", "backends", "none", "one", "configure one", 0}});
    EXPECT_THAT(look(), ElementsAre("warning daemon-no-sink backends"));
    own_.set_in_force(on_disk_, {});
    EXPECT_THAT(look(), IsEmpty());
}

TEST_F(OwnFindingsTest, AReplacedModuleFileIsFound) {
    changed_modules_ = {"/lib/plugin-api.so"};
    EXPECT_THAT(look(), ElementsAre("warning daemon-module-changed /lib/plugin-api.so"));
}

TEST_F(OwnFindingsTest, AnUnsynchronisedClockIsANote) {
    synchronised_ = false;
    EXPECT_THAT(look(), ElementsAre("note daemon-clock-not-synchronised "));
}

TEST_F(OwnFindingsTest, ABackendThatTakesNothingIsFound) {
    bus_.backends[0].behind = true;
    EXPECT_THAT(look(), ElementsAre("warning daemon-backend-behind backend marker"));
}

TEST_F(OwnFindingsTest, LossesAreReportedForTenMinutes) {
    bus_.backends[0].failed = 3;
    EXPECT_THAT(look(), ElementsAre("warning daemon-events-lost backend marker"));
    now_ns_ += OwnFindings::memory_ns - 1;
    EXPECT_THAT(look(), ElementsAre("warning daemon-events-lost backend marker"));
    ++now_ns_;
    EXPECT_THAT(look(), IsEmpty()) << "the counter did not grow";
    bus_.backends[0].given_up = 1;
    EXPECT_THAT(look(), ElementsAre("warning daemon-events-lost backend marker"));
}

TEST_F(OwnFindingsTest, EachReachedLimitOfFlowsIsFound) {
    bus_.announcers[0].refused[static_cast<std::size_t>(Refusal::limit_live)] = 1;
    bus_.announcers[0].refused[static_cast<std::size_t>(Refusal::limit_sender)] = 1;
    bus_.announcers[0].refused[static_cast<std::size_t>(Refusal::full)] = 1;
    EXPECT_THAT(look(), ElementsAre("warning daemon-flow-limit-reached plugin api",
                                    "warning daemon-flow-limit-reached plugin api"));
}

TEST_F(OwnFindingsTest, ShedSamplesAndUnreadableSocketsAreFound) {
    bus_.samples_shed = 1;
    bus_.socket_dumps_failed = 1;
    EXPECT_THAT(look(), ElementsAre("warning daemon-samples-shed ", "warning daemon-sockets-unreadable "));
}

// case C02
TEST_F(OwnFindingsTest, ATagOfFlowsThatIsNotInTheRegistryIsANote) {
    unregistered_tags_ = {{"4/57", "experiment lhcb (4), activity 57", "", 2}};
    EXPECT_THAT(look(), ElementsAre("note daemon-flow-tag-unregistered 4/57"));
    now_ns_ += OwnFindings::memory_ns;
    EXPECT_THAT(look(), IsEmpty()) << "no such flow has started since";
}

}  // namespace
}  // namespace flowd::core::test
