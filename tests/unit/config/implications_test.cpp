// SPDX-License-Identifier: Apache-2.0
// Backends that an option of a plugin implies by the catalog: when they are added, with which options, and what is said.
#include <gtest/gtest.h>

#include "core/config/render.hpp"
#include "tests/unit/config/fakes.hpp"

namespace flowd::core::test {
namespace {

class Implications : public ::testing::Test {
  protected:
    Implications() {
        world_.catalog =
            Catalog::parse(
                "plugins:\n"
                "  relay:\n"
                "    package: the-relay\n"
                "    aliases: [forwarder]\n"
                "    implies: {when: receivers, backend: sender/receivers, options: {once: true, to: $receivers}}\n"
                "  meter: {package: the-meter}\n"
                "backends:\n"
                "  sender: {package: the-sender}\n",
                "catalog.yaml")
                .value();
        world_.modules.add(FLOWD_PLUGIN, "relay", relay_);
        world_.modules.add(FLOWD_PLUGIN, "meter", none_);
        world_.modules.add(FLOWD_BACKEND, "other", none_);
        world_.modules.add(FLOWD_BACKEND, "sender", sender_);
    }
    Configuration load(std::string_view text) {
        auto loaded = world_.parse(text);
        EXPECT_EQ(loaded.problems.to_string(), "");
        if (!loaded.configuration) throw std::runtime_error("not loaded");
        return std::move(*loaded.configuration);
    }
    static std::vector<std::string> receivers_of(const InstanceConfig& sender) {
        std::vector<std::string> all;
        const flowd_value& list = *item_at(sender.value(), 1);
        for (std::size_t i = 0; i < list.item_count; ++i) all.emplace_back(to_view(item_at(list, i)->text));
        return all;
    }

    World world_;
    std::vector<flowd_option> none_, text_{row(FLOWD_OPTION_STRING, nullptr)};
    std::vector<flowd_option> relay_{with(row(FLOWD_OPTION_LIST, "receivers"), text_)};
    std::vector<flowd_option> sender_{row(FLOWD_OPTION_BOOLEAN, "once", "false"),
                                      with(row(FLOWD_OPTION_LIST, "to"), text_)};
};

TEST_F(Implications, APluginThatRelaysByItselfNeedsNoBackend) {
    const Configuration c = load("plugins: {relay: {receivers: [a]}}\n");
    EXPECT_TRUE(c.find(FLOWD_PLUGIN, "relay")->relays);
    EXPECT_EQ(world_.parse("plugins: {relay: {receivers: []}}\n").problems.to_string().substr(0, 49),
              "warning: backends: no backend is configured: no f");
}

TEST_F(Implications, AnOptionImpliesABackendWithValues) {
    const Configuration c = load("plugins: {meter: , relay: {receivers: [a, b]}}\nbackends: {other: }\n");
    const InstanceConfig* sender = c.find(FLOWD_BACKEND, "sender/receivers");
    ASSERT_NE(sender, nullptr);
    EXPECT_EQ(sender->implied_by, "plugins.relay.receivers");
    EXPECT_TRUE(sender->required);
    EXPECT_EQ(item_at(sender->value(), 0)->integer, 1);
    EXPECT_EQ(receivers_of(*sender), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(sender->location_of("to[1]").line, 1u);
}

TEST_F(Implications, TheEffectiveConfigurationNamesTheReasonAndMeansTheSame) {
    const Configuration c = load("plugins: {meter: , relay: {receivers: [a]}}\nbackends: {other: }\n");
    const std::string yaml = effective_yaml(c, world_.registry);
    EXPECT_NE(yaml.find("  sender/receivers:  # implied by plugins.relay.receivers\n"), std::string::npos) << yaml;
    EXPECT_EQ(load(yaml).instances.size(), c.instances.size());
}

TEST_F(Implications, TwoPluginsShareTheBackendTheyImply) {
    const Configuration c =
        load("plugins: {meter: , relay: {receivers: [a, b]}, forwarder/two: {receivers: [b, c]}}\nbackends: {other: }\n");
    const InstanceConfig* sender = c.find(FLOWD_BACKEND, "sender/receivers");
    ASSERT_NE(sender, nullptr);
    EXPECT_EQ(receivers_of(*sender), (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(sender->implied_by, "plugins.relay.receivers, plugins.forwarder/two.receivers");
}

TEST_F(Implications, ImpliesNothingWithoutItsConditions) {
    for (const char* plugins : {"{meter: , relay: }", "{meter: , relay: {receivers: []}}", "{relay: {receivers: [a]}}",
                                "{relay: {receivers: [a]}, relay/two: {receivers: [b]}}"})
        EXPECT_EQ(
            load(std::string("plugins: ") + plugins + "\nbackends: {other: }\n").find(FLOWD_BACKEND, "sender/receivers"),
            nullptr)
            << plugins;
}

TEST_F(Implications, AConfiguredInstanceOfTheBackendTakesPrecedence) {
    const Configuration c = load("plugins: {meter: , relay: {receivers: [a]}}\nbackends: {sender/mine: {to: [x]}}\n");
    EXPECT_EQ(c.find(FLOWD_BACKEND, "sender/receivers"), nullptr);
}

TEST_F(Implications, AnnounceFalseSwitchesThemOff) {
    const Configuration c = load("plugins: {meter: , relay: {receivers: [a], announce: false}}\nbackends: {other: }\n");
    EXPECT_EQ(c.find(FLOWD_BACKEND, "sender/receivers"), nullptr);
    EXPECT_NE(effective_yaml(c, world_.registry).find("    announce: false\n"), std::string::npos);
}

TEST_F(Implications, AnnounceFalseWhereNothingIsImpliedIsWarnedOf) {
    EXPECT_EQ(world_.parse("plugins: {meter: {announce: false}}\nbackends: {other: }\n").problems.to_string(),
              "conf.yaml:1:18: warning: plugins.meter.announce: has no effect: nothing is implied\n"
              "    hint:    remove it\n");
}

TEST_F(Implications, AMissingPackageIsAnErrorWithARemedy) {
    world_.modules.refuse(FLOWD_BACKEND, "sender", Error{FLOWD_NOT_FOUND, "no module has it"});
    const auto loaded = world_.parse("plugins:\n  meter:\n  relay:\n    receivers: [a]\nbackends: {other: }\n");
    EXPECT_FALSE(loaded.configuration);
    EXPECT_EQ(
        loaded.problems.to_string(),
        "conf.yaml:4:5: error: backends.sender/receivers: module 'sender' is not installed\n"
        "    hint:    install the package the-sender; or write `announce: false` beside plugins.relay.receivers, which "
        "implies this backend\n");
}

TEST_F(Implications, AnInvalidOptionIsReportedOnce) {
    EXPECT_EQ(world_.parse("plugins: {meter: , relay: {receivers: [[a]]}}\nbackends: {other: }\n").problems.size(), 1u);
}

TEST_F(Implications, AnInstanceThatIsNotRequiredImpliesOneThatIsNotRequired) {
    world_.modules.refuse(FLOWD_BACKEND, "sender", Error{FLOWD_NOT_FOUND, "no module has it"});
    const auto loaded = world_.parse("plugins: {meter: , relay: {receivers: [a], required: false}}\nbackends: {other: }\n");
    EXPECT_TRUE(loaded.configuration) << loaded.problems.to_string();
}

TEST(CatalogFile, AnImplicationWithoutABackendIsRefused) {
    const auto catalog = Catalog::parse("plugins: {x: {package: p, implies: {when: y}}}", "catalog.yaml");
    ASSERT_FALSE(catalog);
    EXPECT_EQ(catalog.error().message, "catalog.yaml: implies of x needs `when` and `backend`");
}

}  // namespace
}  // namespace flowd::core::test
