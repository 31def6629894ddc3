// SPDX-License-Identifier: Apache-2.0
// Experiments and activities by name and by number; the registry itself.
#include <gtest/gtest.h>

#include "tests/unit/config/fakes.hpp"

namespace flowd::core::test {
namespace {

class Tags : public ::testing::Test {
  protected:
    Tags() {
        table_ = {range(row(FLOWD_OPTION_ACTIVITY, "activityId"), 0, 63), row(FLOWD_OPTION_EXPERIMENT, "experimentId"),
                  with(row(FLOWD_OPTION_LIST, "activityIDs"), activity_),
                  with(row(FLOWD_OPTION_LIST, "experimentIDs"), experiment_)};
        world_.modules.add(FLOWD_PLUGIN, "x", table_);
        world_.modules.add(FLOWD_BACKEND, "sink", none_);
    }
    LoadedConfiguration load(const std::string& options) {
        return world_.parse("backends: {sink: }\nplugins:\n  x: {" + options + "}\n");
    }
    std::string problems(const std::string& options) { return load(options).problems.to_string(); }
    /// "experiment activity experiments activities"
    std::string ids(const std::string& options) {
        const auto loaded = load(options);
        if (!loaded.configuration) return loaded.problems.to_string();
        const flowd_value& x = loaded.configuration->instances.at(0).value();
        std::string text = std::to_string(item_at(x, 1)->integer) + " " + std::to_string(item_at(x, 0)->integer);
        for (const std::size_t list : {3u, 2u})
            for (std::size_t i = 0; i < item_at(x, list)->item_count; ++i)
                text += (i == 0 ? " " : ",") + std::to_string(item_at(*item_at(x, list), i)->integer);
        return text;
    }

    World world_;
    std::vector<flowd_option> none_, table_;
    std::vector<flowd_option> activity_{row(FLOWD_OPTION_ACTIVITY, nullptr)},
        experiment_{row(FLOWD_OPTION_EXPERIMENT, nullptr)};
};

TEST_F(Tags, AreNumbersOrCaseInsensitiveNames) {
    EXPECT_EQ(ids("experimentId: 2, activityId: 9"), "2 9");
    EXPECT_EQ(ids("experimentId: ATLAS, activityId: perfsonar"), "2 2");
    EXPECT_EQ(ids("experimentId: 99, activityId: 63"), "99 63");
}

TEST_F(Tags, NumbersThatTheRegistryDoesNotKnowAreWarnedOf) {
    EXPECT_EQ(
        problems("experimentId: 99, activityId: 2"),
        "conf.yaml:3:21: warning: plugins.x.experimentId: not an experiment of the registry: collectors will not know it\n"
        "    found:   99\n"
        "    hint:    write the name or the number of one that is registered\n");
    EXPECT_EQ(
        problems("experimentId: 2, activityId: 63"),
        "conf.yaml:3:36: warning: plugins.x.activityId: not an activity of experiment atlas: collectors will not know it\n"
        "    found:   63\n"
        "    hint:    write the name or the number of one that is registered\n");
    EXPECT_EQ(problems("experimentId: 0, activityId: 0"), "") << "no tag on purpose";
    world_.registry = Registry();
    EXPECT_EQ(problems("experimentId: 99, activityId: 63"), "") << "there is nothing to compare with";
}

TEST_F(Tags, ATagThatDoesNotFitAFlowLabelIsWarnedOf) {
    EXPECT_EQ(problems("experimentIDs: [2], activityIDs: [64]"),
              "conf.yaml:3:41: warning: plugins.x.activityIDs[0]: no flow label can carry it\n"
              "    found:   64\n"
              "    allowed: 0 to 63\n"
              "    hint:    write the name or the number of one that is registered\n");
    EXPECT_NE(problems("experimentId: 512").find("no flow label can carry it"), std::string::npos);
}

TEST_F(Tags, AScitagOrALabelAsAnIdIsRecognised) {
    const auto hint_of = [&](const std::string& options) {
        const auto loaded = load(options);
        return loaded.problems.size() == 0 ? "no problem" : loaded.problems[0].hint;
    };
    EXPECT_EQ(hint_of("experimentId: 206"), "206 is a scitag: experiment cms (3), activity Debug (14)");
    EXPECT_EQ(hint_of("activityId: 206"), "206 is a scitag: experiment cms (3), activity Debug (14)") << "out of range";
    EXPECT_EQ(hint_of("experimentId: 65544"), "65544 is a flow label: experiment atlas (2), activity perfSONAR (2)");
}

TEST_F(Tags, AnActivityNameIsLookedUpInTheExperimentOfTheSameGroup) {
    EXPECT_EQ(ids("activityId: debug, experimentId: atlas"), "2 9");
    EXPECT_EQ(ids("activityId: debug, experimentId: cms"), "3 14");
}

TEST_F(Tags, ListsArePairedByTheirIndex) {
    EXPECT_EQ(ids("experimentIDs: [atlas, cms], activityIDs: [debug, debug]"), "0 0 2,3 9,14");
    EXPECT_EQ(ids("experimentIDs: [cms], activityIDs: [debug, perfsonar]"), "0 0 3 14,2");
    EXPECT_EQ(ids("experimentIDs: [0, 1, 2], activityIDs: [0, 1, 2]"), "0 0 0,1,2 0,1,2");
}

TEST_F(Tags, AnActivityNameWithOneIdNeedsNoExperiment) {
    EXPECT_EQ(ids("activityId: perfsonar"), "0 2");
    EXPECT_EQ(problems("activityId: debug"),
              "conf.yaml:3:19: error: plugins.x.activityId: has another number in each experiment\n"
              "    found:   debug\n"
              "    allowed: an activity of the registry by name, or a number, 0 to 63\n"
              "    hint:    write its number, or an experiment beside it\n");
}

TEST_F(Tags, AnUnknownNameOffersTheNearest) {
    EXPECT_EQ(problems("experimentId: atals"),
              "conf.yaml:3:21: error: plugins.x.experimentId: not an experiment of the registry\n"
              "    found:   atals\n"
              "    allowed: an experiment of the registry by name, or a number\n"
              "    nearest: atlas\n"
              "    hint:    write atlas\n");
    EXPECT_EQ(problems("experimentId: atlas, activityId: Tier-0").substr(0, 82),
              "conf.yaml:3:40: error: plugins.x.activityId: not an activity of experiment atlas\n ");
    EXPECT_NE(problems("experimentId: 99, activityId: debug").find("experiment 99 is not in the registry"),
              std::string::npos);
}

TEST_F(Tags, AnUnknownExperimentIsReportedOnce) {
    EXPECT_EQ(load("experimentId: atals, activityId: debug").problems.size(), 1u);
}

TEST_F(Tags, IdsAreNotNegativeAndFit32Bits) {
    EXPECT_NE(problems("experimentId: -1").find("out of range"), std::string::npos);
    EXPECT_NE(problems("experimentId: 4294967296").find("out of range"), std::string::npos);
}

TEST(Registry, ReadsThePublicForm) {
    const auto registry = Registry::load(std::filesystem::path(FLOWD_SOURCE_DIR) / "etc/registry.json");
    ASSERT_TRUE(registry) << registry.error().message;
    EXPECT_EQ(registry->experiments().size(), 14u);
    EXPECT_EQ(registry->experiment_id("Atlas"), 2u);
    EXPECT_EQ(registry->experiment_name(2), "atlas");
    EXPECT_EQ(registry->activity_id(2, "data brokering"), 3u);
    EXPECT_EQ(registry->activity_name(2, 3), "Data Brokering");
    EXPECT_EQ(registry->common_activity_id("perfsonar"), 2u);
    std::size_t pairs = 0;
    for (const auto& experiment : registry->experiments()) pairs += experiment.second.activities.size();
    EXPECT_EQ(pairs, 114u);
}

TEST(Registry, UnknownNamesAndIdsAreNotFound) {
    const Registry empty;
    EXPECT_EQ(empty.experiment_id("atlas"), std::nullopt);
    EXPECT_EQ(empty.experiment_name(2), "");
    EXPECT_EQ(empty.activity_name(2, 2), "");
    EXPECT_EQ(empty.common_activity_id("perfsonar"), std::nullopt);
}

TEST(Registry, ABrokenFileIsRefusedWithTheReason) {
    const auto message = [](std::string_view json) { return Registry::parse(json).error().message; };
    EXPECT_EQ(message("nonsense").substr(0, 9), "not JSON:");
    EXPECT_EQ(message("{}"), "no list \"experiments\"");
    EXPECT_EQ(message(R"({"experiments": [1]})"), "an experiment that is not an object");
    EXPECT_EQ(message(R"({"experiments": [{"expName": "a"}]})"), "an entry without a number \"expId\"");
    EXPECT_EQ(message(R"({"experiments": [{"expName": "a", "expId": -1}]})"), "an entry without a number \"expId\"");
    EXPECT_EQ(message(R"({"experiments": [{"expName": "a", "expId": 1}, {"expName": "b", "expId": 1}]})"),
              "experiment 1 is there twice");
    EXPECT_NE(Registry::load("/nonexistent").error().message.find("/nonexistent"), std::string::npos);
    EXPECT_EQ(Registry::load("/").error().message, "the registry: /: not a regular file");
}

}  // namespace
}  // namespace flowd::core::test
