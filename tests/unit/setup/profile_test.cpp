// SPDX-License-Identifier: Apache-2.0
// Profiles are files with questions and a configuration.
#include "core/setup/profile.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "core/config/node.hpp"
#include "tests/modules/temporary_directory.hpp"

namespace flowd::core {
namespace {

using test::TemporaryDirectory;

constexpr const char* good = R"(summary: a host
questions:
  - {name: experiment, option: plugins.p.experiment, choose: experiment, text: Which}
  - {name: activity, option: plugins.p.activity, choose: activity, default: 2}
  - {name: nics, aliases: [interfaces], option: backends.m.nics, choose: interfaces}
  - {name: collector, none: [no-collector], without: backends.f, option: backends.f.to}
  - {name: port, option: backends.f.port, asked: false}
configuration: |
  plugins:
    p:
      experiment: default # whose
      activity: default
  backends:
    m:
      nics: [eno1]
    f:
      to: example.org
      port: 1
)";

class ProfileTest : public testing::Test {
  protected:
    Profiles load(const std::string& text) {
        std::ofstream(directory_.path() / "host.yaml") << text;
        return load_profiles(directory_.path());
    }
    TemporaryDirectory directory_;
    const Registry registry_ = *Registry::parse(
        R"({"experiments":[{"expName":"atlas","expId":2,"activities":[{"activityName":"perfSONAR","activityId":2}]}],"version":1})");
};

TEST_F(ProfileTest, AnswersAreTheValuesOfTheConfiguration) {
    const Profiles all = load(good);
    ASSERT_EQ(all.profiles.size(), 1u) << (all.errors.empty() ? "" : all.errors[0].message);
    const std::string text = all.find("host")->configured(
        {{"experiment", "atlas"}, {"activity", "2"}, {"nics", "eth0, eth1"}, {"collector", "2001:db8::1"}, {"port", "99"}},
        registry_);
    EXPECT_EQ(
        text,
        "plugins:\n  p:\n    experiment: atlas # whose\n    activity: perfSONAR\nbackends:\n  m:\n    nics: [eth0, eth1]\n"
        "  f:\n    to: \"2001:db8::1\"\n    port: 99\n");
}

TEST_F(ProfileTest, NumbersThatTheRegistryKnowsBecomeNamesAndOthersStay) {
    const Profiles all = load(good);
    EXPECT_NE(all.profiles[0]
                  .configured({{"experiment", "2"}, {"activity", "77"}}, registry_)
                  .find("experiment: atlas # whose\n    activity: 77\n"),
              std::string::npos);
}

TEST_F(ProfileTest, TheAnswerNoneLeavesAPartOut) {
    const Profiles all = load(good);
    const std::string text = all.profiles[0].configured({{"collector", "none"}, {"port", "99"}}, registry_);
    EXPECT_EQ(text.find("  f:"), std::string::npos);
    EXPECT_EQ(text.find("99"), std::string::npos);
    EXPECT_NE(text.find("  m:"), std::string::npos);
}

TEST_F(ProfileTest, AnAnswerCannotAddKeys) {
    const Profiles all = load(good);
    const std::string text = all.profiles[0].configured({{"collector", "x\n  evil: {}"}, {"nics", "a]\nb: [c"}}, registry_);
    Problems problems;
    const auto root = read_yaml(text, "text", problems);
    ASSERT_TRUE(root) << text;
    EXPECT_EQ(root->find("backends")->value.entries.size(), 2u) << text;
}

TEST_F(ProfileTest, AProfileWhoseQuestionHasNoPlaceIsAnErrorThatNamesIt) {
    for (const char* const text :
         {"questions: [{name: a, option: plugins.x}]\nconfiguration: 'plugins: {}'\n", "questions: [{name: a}]\n",
          "questions: [{name: '-- a', option: plugins}]\nconfiguration: 'plugins: {}'\n", "questions: [", "- a\n",
          "questions: [{name: a, aliases: ['--x'], option: plugins}]\nconfiguration: 'plugins: {}'\n"}) {
        const Profiles all = load(text);
        EXPECT_TRUE(all.profiles.empty()) << text;
        ASSERT_EQ(all.errors.size(), 1u) << text;
        EXPECT_NE(all.errors[0].message.find("host.yaml"), std::string::npos) << all.errors[0].message;
    }
}

TEST(Words, AreSeparatedByCommasAndSpaces) {
    EXPECT_EQ(words_of(" a,b , c"), (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_TRUE(words_of(" , ").empty());
}

}  // namespace
}  // namespace flowd::core
