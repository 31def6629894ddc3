// SPDX-License-Identifier: Apache-2.0
// What validate() and tools get instead of a running core.
#include "core/config/offline_host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fakes.hpp"
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/ext/registry.h"

namespace flowd::core::test {
namespace {

struct OfflineHostTest : ::testing::Test {
    Registry registry_ = Registry::parse(small_registry).value();
    std::vector<std::string> lines_;
    std::vector<std::string> reports_;
    OfflineHost offline_{registry_,
                         "api/one",
                         "1.2.3",
                         {[this](flowd_level level, std::string_view line) {
                              lines_.push_back(std::to_string(level) + " " + std::string(line));
                          },
                          [this](const flowd_problem& problem) { reports_.emplace_back(to_view(problem.message)); }}};
    const flowd_host* host_ = offline_.abi();
};

TEST_F(OfflineHostTest, LogsReportsAndKnowsTheRegistry) {
    EXPECT_STREQ(host_->instance, "api/one");
    EXPECT_STREQ(host_->core_version, "1.2.3");
    EXPECT_EQ(host_->abi_minor, std::uint32_t{FLOWD_ABI_MINOR});
    host_->log(host_, FLOWD_LEVEL_WARNING, to_c("hello"));
    EXPECT_EQ(lines_, std::vector<std::string>{"40 hello"});
    flowd_problem problem{};
    problem.size = sizeof problem;
    problem.message = to_c("wrong");
    host_->report(host_, &problem);
    host_->report(host_, nullptr);
    EXPECT_EQ(reports_, std::vector<std::string>{"wrong"});
    const auto* registry = static_cast<const flowd_ext_registry*>(host_->extension(host_, FLOWD_EXT_REGISTRY));
    ASSERT_NE(registry, nullptr);
    std::uint32_t id = 0;
    EXPECT_EQ(registry->experiment_id(host_, to_c("ATLAS"), &id), FLOWD_OK);
    EXPECT_EQ(id, 2U);
    EXPECT_EQ(registry->activity_id(host_, 3, to_c("tier-0"), &id), FLOWD_OK);
    EXPECT_EQ(id, 21U);
    flowd_string name{};
    EXPECT_EQ(registry->experiment_name(host_, 99, &name), FLOWD_NOT_FOUND);
    EXPECT_EQ(name.length, 0U);
}

TEST_F(OfflineHostTest, ServicesOfTheDaemonAreUnsupportedAndNoMemberIsNull) {
    EXPECT_EQ(host_->state_directory, nullptr);
    EXPECT_EQ(host_->runtime_directory, nullptr);
    std::size_t accepted = 7;
    flowd_event event{};
    EXPECT_EQ(host_->emit(host_, &event, 1, sizeof event, &accepted, nullptr), FLOWD_UNSUPPORTED);
    EXPECT_EQ(accepted, 0U);
    flowd_refusal refusal{};
    EXPECT_EQ(host_->refused(host_, &refusal), FLOWD_UNSUPPORTED);
    EXPECT_NE(host_->sender_id(host_, {}), 0U);
    EXPECT_EQ(host_->post(host_, nullptr, nullptr), FLOWD_UNSUPPORTED);
    EXPECT_EQ(host_->loop_fd(host_), -1);
    EXPECT_EQ(host_->dispatch(host_), FLOWD_UNSUPPORTED);
    EXPECT_EQ(host_->watch(host_, 0, FLOWD_IO_READ, nullptr, nullptr, nullptr), FLOWD_UNSUPPORTED);
    EXPECT_EQ(host_->rewatch(host_, 1, 0), FLOWD_UNSUPPORTED);
    EXPECT_EQ(host_->timer(host_, 0, 0, nullptr, nullptr, nullptr), FLOWD_UNSUPPORTED);
    EXPECT_EQ(host_->metric_open(host_, nullptr, nullptr), FLOWD_UNSUPPORTED);
    host_->ready(host_);
    host_->unwatch(host_, 1);
    host_->cancel(host_, 1);
    host_->metric_add(host_, 1, 1);
    host_->metric_set(host_, 1, 1);
    host_->metric_observe(host_, 1, 1);
    host_->metric_remove(host_, 1);
    EXPECT_EQ(host_->extension(host_, FLOWD_EXT_FLOWS), nullptr);
    EXPECT_EQ(host_->extension(host_, nullptr), nullptr);
}

TEST(ValidateTest, ReceivesAHostWithTheInstancesNameAndItsLog) {
    World world;
    flowd_component& component = world.modules.add(FLOWD_PLUGIN, "api", {});
    component.validate = [](const flowd_host* host, const flowd_value*, const flowd_problems*) -> flowd_result {
        const std::string line = std::string("validating ") + host->instance;
        host->log(host, FLOWD_LEVEL_INFO, to_c(line));
        const auto* registry = static_cast<const flowd_ext_registry*>(host->extension(host, FLOWD_EXT_REGISTRY));
        std::uint32_t id = 0;
        return registry->experiment_id(host, to_c("cms"), &id);
    };
    std::vector<std::string> lines;
    LoadContext context = world.context();
    context.log = [&](std::string_view instance, flowd_level level, std::string_view line) {
        lines.push_back(std::string(instance) + " " + std::to_string(level) + " " + std::string(line));
    };
    const auto loaded = parse_configuration("plugins:\n  api/one: {}\n", "conf.yaml", context);
    EXPECT_TRUE(loaded.configuration) << loaded.problems.to_string();
    EXPECT_EQ(lines, std::vector<std::string>{"api/one 30 validating api/one"});
}

}  // namespace
}  // namespace flowd::core::test
