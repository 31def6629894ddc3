// SPDX-License-Identifier: Apache-2.0
// conf.yaml and conf.d.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include "core/base/trust.hpp"
#include "tests/unit/config/fakes.hpp"

namespace flowd::core::test {
namespace {

class Files : public ::testing::Test {
  protected:
    Files() {
        world_.modules.add(FLOWD_PLUGIN, "fireflyp", options_);
        world_.modules.add(FLOWD_BACKEND, "firefly", options_);
    }
    std::string at(const std::string& name) { return (directory_.path() / name).string(); }

    TemporaryDirectory directory_;
    World world_;
    std::vector<flowd_option> names_{row(FLOWD_OPTION_STRING, nullptr)};
    std::vector<flowd_option> options_{row(FLOWD_OPTION_INTEGER, "port", "10514"),
                                       secret(row(FLOWD_OPTION_STRING, "token")),
                                       with(row(FLOWD_OPTION_LIST, "names"), names_)};
};

TEST_F(Files, DropInsAddInstancesAndOptionsInTheOrderOfTheirNames) {
    const auto conf = directory_.write("conf.yaml", "plugins:\n  fireflyp:\n");
    directory_.write("conf.d/20-backend.yaml", "backends: {firefly: {port: 2}}\n");
    directory_.write("conf.d/10-port.yaml", "plugins: {fireflyp: {port: 1}}\nbackends: {firefly/a: }\n");
    directory_.write("conf.d/README", "not: [yaml");
    directory_.write("conf.d/.hidden.yaml", "not: [yaml");
    const auto loaded = world_.load(conf);
    EXPECT_EQ(loaded.problems.to_string(), "");
    ASSERT_TRUE(loaded.configuration);
    ASSERT_EQ(loaded.configuration->instances.size(), 3u);
    EXPECT_EQ(item_at(loaded.configuration->instances[0].value(), 0)->integer, 1);
    EXPECT_EQ(loaded.configuration->instances[0].location_of("port").to_string(), at("conf.d/10-port.yaml") + ":1:28");
    EXPECT_EQ(loaded.configuration->instances[1].key, "firefly/a");
    EXPECT_EQ(loaded.configuration->instances[2].key, "firefly");
}

TEST_F(Files, ConflictingValuesInTwoFilesNameBothPositions) {
    const auto conf = directory_.write("conf.yaml", "plugins: {fireflyp: {port: 1, names: [a]}}\n");
    directory_.write("conf.d/x.yaml", "plugins: {fireflyp: {port: 2, names: [b]}}\n");
    const auto loaded = world_.load(conf);
    ASSERT_EQ(loaded.problems.errors(), 2u);
    EXPECT_EQ(loaded.problems[0].to_string(), at("conf.d/x.yaml") +
                                                  ":1:28: error: plugins.fireflyp.port: given differently in two files\n"
                                                  "    found:   the other is at " +
                                                  at("conf.yaml") +
                                                  ":1:28\n"
                                                  "    hint:    keep it in one of the two files");
    EXPECT_EQ(loaded.problems[1].path, "plugins.fireflyp.names");
}

TEST_F(Files, TheSameValueInTwoFilesIsAllowed) {
    const auto conf = directory_.write("conf.yaml", "plugins: {fireflyp: {port: 1, names: [a]}}\nbackends: {firefly: }\n");
    directory_.write("conf.d/x.yaml", "plugins: {fireflyp: {port: 1, names: [a]}}\n");
    EXPECT_EQ(world_.load(conf).problems.to_string(), "");
}

TEST_F(Files, AFileInConfDWithAnotherSuffixIsWarnedOf) {
    const auto conf = directory_.write("conf.yaml", "plugins: {fireflyp: }\nbackends: {firefly: }\n");
    directory_.write("conf.d/x.yml", "plugins: {np: }\n");
    EXPECT_EQ(world_.load(conf).problems.to_string(), at("conf.d/x.yml") +
                                                          ": warning: not read: its name does not end in .yaml\n"
                                                          "    hint:    rename it\n");
}

TEST_F(Files, AMissingFileIsReported) {
    const auto loaded = world_.load(at("conf.yaml"));
    EXPECT_FALSE(loaded.configuration);
    EXPECT_EQ(loaded.problems.to_string(), at("conf.yaml") +
                                               ": error: can't be read: No such file or directory\n"
                                               "    hint:    name another file with --conf\n");
    EXPECT_EQ(loaded.problems.decisive()->result, FLOWD_NOT_FOUND);
    EXPECT_EQ(loaded.problems.decisive()->category, Problem::Category::system);
}

TEST_F(Files, AMissingFileIsReportedInTheSameWordsByTheCheckOfTrust) {
    const std::string without = world_.load(at("conf.yaml")).problems.to_string();
    world_.trust = [](const std::filesystem::path& file) { return trusted_path(file); };
    EXPECT_EQ(world_.load(at("conf.yaml")).problems.to_string(), without);
}

TEST_F(Files, ADirectoryIsRefused) {
    EXPECT_NE(world_.load(directory_.path()).problems.to_string().find("not a regular file"), std::string::npos);
}

TEST_F(Files, EveryFileIsCheckedAndTheCheckedFileIsOpened) {
    const auto conf = directory_.write("conf.yaml", "plugins: {fireflyp: }\nbackends: {firefly: }\n");
    const auto real = directory_.write("real.yaml", "plugins: {fireflyp: {port: 3}}\nbackends: {firefly: }\n");
    directory_.write("conf.d/x.yaml", "plugins: {fireflyp: }\n");
    world_.trust = [&](const std::filesystem::path& file) -> Result<std::filesystem::path> {
        if (file == conf) return real;
        return Error{FLOWD_DENIED, "belongs to user 1000", "chown root it"};
    };
    const auto loaded = world_.load(conf);
    EXPECT_EQ(loaded.problems.to_string(), at("conf.d/x.yaml") +
                                               ": error: belongs to user 1000\n"
                                               "    hint:    chown root it\n");
    std::filesystem::remove(directory_.path() / "conf.d/x.yaml");
    EXPECT_EQ(item_at(world_.load(conf).configuration->instances.at(0).value(), 0)->integer, 3);
}

TEST_F(Files, ASecretInAPublicFileIsAWarning) {
    const auto conf = directory_.write("conf.yaml", "plugins: {fireflyp: {token: hunter2}}\nbackends: {firefly: }\n");
    ASSERT_EQ(::chmod(conf.c_str(), 0644), 0);
    EXPECT_EQ(world_.load(conf).problems.to_string(), at("conf.yaml") +
                                                          ": warning: contains a secret and is world-readable\n"
                                                          "    hint:    chmod 0640 " +
                                                          at("conf.yaml") + "\n");
    ASSERT_EQ(::chmod(conf.c_str(), 0640), 0);
    EXPECT_EQ(world_.load(conf).problems.to_string(), "");
}

TEST_F(Files, ThePackagedConfigurationNeedsNoModule) {
    World empty;
    const auto loaded = empty.load(std::filesystem::path(FLOWD_SOURCE_DIR) / "etc/conf.yaml");
    EXPECT_TRUE(loaded.configuration) << loaded.problems.to_string();
    EXPECT_EQ(loaded.problems.errors(), 0u);
}

}  // namespace
}  // namespace flowd::core::test
