// SPDX-License-Identifier: Apache-2.0
// Sections, instances, modules that are absent or refuse, and what modules themselves say of a configuration.
#include <gtest/gtest.h>

#include "tests/unit/config/fakes.hpp"

namespace flowd::core::test {
namespace {

void report(const flowd_problems* problems, std::string_view option, std::string_view message, flowd_level level,
            std::string_view found = {}) {
    flowd_problem problem{};
    problem.size = sizeof problem;
    problem.level = level;
    problem.result = FLOWD_INVALID;
    problem.option = {option.data(), option.size()};
    problem.message = {message.data(), message.size()};
    problem.found = {found.data(), found.size()};
    problems->report(problems, &problem);
}

class Instances : public ::testing::Test {
  protected:
    Instances() {
        world_.modules.add(FLOWD_PLUGIN, "fireflyp", ports_);
        world_.modules.add(FLOWD_BACKEND, "firefly", ports_);
        world_.modules.add(FLOWD_BACKEND, "metrics", none_);
    }
    std::string problems(const std::string& text) { return world_.parse(text).problems.to_string(); }

    World world_;
    std::vector<flowd_option> none_;
    std::vector<flowd_option> ports_{row(FLOWD_OPTION_INTEGER, "port", "10514"), secret(row(FLOWD_OPTION_STRING, "token"))};
};

TEST_F(Instances, NullAndAnEmptyGroupBothHaveTheDefaults) {
    const auto loaded = world_.parse("plugins:\n  fireflyp:\nbackends:\n  firefly: {}\n");
    EXPECT_EQ(loaded.problems.to_string(), "");
    ASSERT_TRUE(loaded.configuration);
    ASSERT_EQ(loaded.configuration->instances.size(), 2u);
    EXPECT_EQ(loaded.configuration->instances[0].key, "fireflyp");
    EXPECT_TRUE(loaded.configuration->instances[0].required);
    EXPECT_EQ(loaded.configuration->instances[1].value().item_count, 2u);
}

TEST_F(Instances, AnAliasIsResolvedWithoutLoadingAModule) {
    const auto loaded = world_.parse("plugins: {firefly: {}}\nbackends: {prometheus: {}, firefly: {}}\n");
    EXPECT_EQ(loaded.problems.to_string(), "");
    EXPECT_EQ(world_.modules.asked_for, (std::vector<std::string>{"fireflyp", "metrics", "firefly"}));
    EXPECT_EQ(loaded.configuration->instances[0].component_name, "fireflyp");
    EXPECT_EQ(loaded.configuration->instances[0].written_path, "plugins.firefly");
}

TEST_F(Instances, ASlashNamesFurtherInstances) {
    const auto loaded = world_.parse("plugins: {fireflyp: }\nbackends: {firefly: , firefly/regional: {port: 7}}\n");
    ASSERT_TRUE(loaded.configuration) << loaded.problems.to_string();
    const auto* regional = loaded.configuration->find(FLOWD_BACKEND, "firefly/regional");
    ASSERT_NE(regional, nullptr);
    EXPECT_EQ(item_at(regional->value(), 0)->integer, 7);
    EXPECT_EQ(regional->component_name, "firefly");
}

TEST_F(Instances, AnInvalidNameAfterTheSlashIsRefused) {
    EXPECT_EQ(problems("backends:\n  firefly/: {}\n"),
              "conf.yaml:2:3: error: backends.firefly/: the name after the slash is not valid\n"
              "    found:   firefly/\n"
              "    allowed: up to 64 letters, digits, '-', '_' and '.'\n"
              "    hint:    write for example firefly/regional\n");
}

TEST_F(Instances, OneInstanceUnderNameAndAliasIsAnError) {
    EXPECT_EQ(problems("plugins:\n  fireflyp: {}\n  firefly: {}\n"),
              "conf.yaml:3:3: error: plugins.firefly: the same instance as plugins.fireflyp\n"
              "    found:   the first is at conf.yaml:2:3\n"
              "    hint:    give one of them a name, for example fireflyp/second\n");
}

TEST_F(Instances, AnAbsentModuleNamesThePackageToInstall) {
    const auto loaded = world_.parse("plugins:\n  namedPipe: {}\n");
    EXPECT_EQ(loaded.problems.to_string(),
              "conf.yaml:2:3: error: plugins.namedPipe: module 'namedpipe' is not installed\n"
              "    hint:    install the package flowd-cpp-plugin-namedpipe\n");
    EXPECT_EQ(loaded.problems.decisive()->category, Problem::Category::module_missing);
    EXPECT_EQ(loaded.problems.decisive()->result, FLOWD_NOT_FOUND);
}

TEST_F(Instances, AMistypedComponentIsAConfigurationError) {
    const auto loaded = world_.parse("backends:\n  fierfly: {}\n");
    EXPECT_EQ(loaded.problems.to_string(),
              "conf.yaml:2:3: error: backends.fierfly: no installed module has a backend of this name\n"
              "    found:   fierfly\n"
              "    allowed: metrics or firefly\n"
              "    nearest: firefly\n"
              "    hint:    write firefly\n");
    EXPECT_EQ(loaded.problems.decisive()->category, Problem::Category::configuration);
}

TEST_F(Instances, AComponentInTheWrongSectionIsAnErrorThatNamesTheRightOne) {
    const auto loaded = world_.parse("plugins:\n  metrics: {}\n");
    EXPECT_EQ(loaded.problems[0].hint, "it is a backend: write it below backends");
    EXPECT_EQ(loaded.problems.decisive()->category, Problem::Category::configuration);
}

TEST_F(Instances, AnUnknownComponentAsksForItsModule) {
    const auto loaded = world_.parse("backends:\n  zabbix: {}\n");
    EXPECT_EQ(loaded.problems[0].hint, "install its module, or name its file with `module: /path/to/module.so`");
    EXPECT_EQ(loaded.problems.decisive()->category, Problem::Category::module_missing);
}

TEST_F(Instances, AnInvalidValueTakesPrecedenceOverAMissingModule) {
    const auto loaded = world_.parse("plugins:\n  np: {}\n  fireflyp: {port: many}\n");
    EXPECT_EQ(loaded.problems.errors(), 2u);
    EXPECT_EQ(loaded.problems.decisive()->category, Problem::Category::configuration);
}

TEST_F(Instances, ARefusedModuleIsReportedWithTheReason) {
    world_.modules.refuse(FLOWD_BACKEND, "metrics",
                          Error{FLOWD_UNSUPPORTED, "it needs ABI 2, this core has 1", "rebuild it"});
    EXPECT_EQ(problems("backends: {metrics: {}}\n"),
              "conf.yaml:1:12: error: backends.metrics: it needs ABI 2, this core has 1\n"
              "    hint:    rebuild it\n");
}

TEST_F(Instances, AModuleThatIsNotRequiredMayBeAbsent) {
    const auto loaded = world_.parse("plugins: {fireflyp: , np: {required: false}}\nbackends: {firefly: {required: no}}\n");
    ASSERT_TRUE(loaded.configuration);
    EXPECT_EQ(loaded.configuration->instances.size(), 2u);
    EXPECT_FALSE(loaded.configuration->instances[1].required);
    ASSERT_EQ(loaded.problems.size(), 1u);
    EXPECT_EQ(loaded.problems[0].level, FLOWD_LEVEL_WARNING);
}

TEST_F(Instances, AFileCanBeNamedForAThirdPartyModule) {
    const auto loaded = world_.parse("plugins: {fireflyp: {module: /opt/x.so}}\nbackends: {firefly: }\n");
    ASSERT_TRUE(loaded.configuration) << loaded.problems.to_string();
    EXPECT_EQ(loaded.configuration->instances[0].module_path, "/opt/x.so");
    EXPECT_NE(problems("plugins: {fireflyp: {module: x.so}}\n").find("not an absolute file name"), std::string::npos);
}

TEST_F(Instances, AnInstanceIsAGroupOfOptions) {
    EXPECT_EQ(problems("plugins:\n  fireflyp: true\n"),
              "conf.yaml:2:13: error: plugins.fireflyp: has to be a group of options\n"
              "    found:   true\n"
              "    hint:    write `fireflyp: {}` to take its defaults\n");
    EXPECT_EQ(problems("plugins: [fireflyp]\n").substr(0, 57), "conf.yaml:1:10: error: plugins: has to be a group of keys");
}

TEST_F(Instances, AnUnknownSectionOffersTheNearest) {
    EXPECT_EQ(problems("plugin:\n  fireflyp: {}\n").substr(0, 54),
              "conf.yaml:1:1: error: plugin: unknown key\n    found:  ");
    EXPECT_NE(problems("plugin: {}\n").find("nearest: plugins\n"), std::string::npos);
}

TEST_F(Instances, NoPluginOrNoBackendIsAWarning) {
    const auto loaded = world_.parse("");
    EXPECT_TRUE(loaded.configuration);
    EXPECT_EQ(loaded.problems.to_string(),
              "warning: plugins: no plugin is configured: no flow will be learnt\n"
              "    hint:    configure a plugin below plugins\n"
              "warning: backends: no backend is configured: no flow will be marked or reported\n"
              "    hint:    configure a backend below backends\n");
}

TEST_F(Instances, AnIdleTimeoutBelowTheRefreshPeriodOfMetersIsRefused) {
    EXPECT_TRUE(world_.parse("flows: {idleTimeout: 30s}\n").configuration);
    const auto loaded = world_.parse("flows: {idleTimeout: 19s}\n");
    EXPECT_FALSE(loaded.configuration);
    EXPECT_NE(loaded.problems.to_string().find("flows.idleTimeout"), std::string::npos) << loaded.problems.to_string();
    EXPECT_NE(loaded.problems.to_string().find("30s"), std::string::npos) << loaded.problems.to_string();
}

TEST_F(Instances, KeysOfTheDaemonAreCheckedLikeOptions) {
    const auto loaded = world_.parse(
        "pidPath: /run/pid\nflows: {maxLive: 10, idleTimeout: 45}\nqueues: {attachmentBytes: 1 MiB}\n"
        "stopTimeout: 250ms\nenrichers: {period: 60000}\ncontrol: {group: ops}\n");
    ASSERT_TRUE(loaded.configuration) << loaded.problems.to_string();
    const Globals& globals = loaded.configuration->globals;
    using namespace std::chrono_literals;
    EXPECT_EQ(globals.pid_path, "/run/pid");
    EXPECT_EQ(globals.flows.max_live, 10u);
    EXPECT_EQ(globals.flows.max_per_instance, 10u);
    EXPECT_EQ(globals.flows.max_per_source, 10u);
    EXPECT_EQ(globals.flows.idle_timeout, 45s);
    EXPECT_EQ(globals.flows.max_age, 24h);
    EXPECT_EQ(globals.flows.tombstone, 5s);
    EXPECT_EQ(globals.queues.events, 65536u);
    EXPECT_EQ(globals.queues.attachment_bytes, 1u << 20);
    EXPECT_EQ(globals.queues.stall_after, 1s);
    EXPECT_EQ(globals.stop_timeout, 250ms);
    EXPECT_EQ(globals.control.path, "/run/flowd-cpp/control");
    EXPECT_EQ(globals.control.group, "ops");
    EXPECT_EQ(globals.enricher_period, 60s);
}

TEST_F(Instances, AnInvalidKeyOfTheDaemonDoesNotHideOtherProblems) {
    EXPECT_EQ(
        world_.parse("flows: {maxLive: 0}\nenrichers: {perod: 1}\nplugins: {fireflyp: {port: x}}\n").problems.errors(), 3u);
}

TEST_F(Instances, AModuleIsNotReportedMissingIfTheModulesKeyIsInvalid) {
    const auto loaded = world_.parse("modules: /opt/modules\nplugins: {np: {}}\n");
    ASSERT_EQ(loaded.problems.size(), 1u);
    EXPECT_EQ(loaded.problems[0].path, "modules");
}

TEST_F(Instances, ProblemsOfValidateHavePositions) {
    world_.modules.add(FLOWD_PLUGIN, "fireflyp", ports_).validate = [](const flowd_host*, const flowd_value*,
                                                                       const flowd_problems* to) {
        report(to, "port", "is taken by the backend", FLOWD_LEVEL_ERROR, "10514");
        return flowd_result{FLOWD_INVALID};
    };
    EXPECT_EQ(problems("plugins:\n  firefly:\n    port: 10514\n"),
              "conf.yaml:3:11: error: plugins.firefly.port: is taken by the backend\n"
              "    found:   10514\n");
    EXPECT_EQ(problems("plugins:\n  firefly: {}\n").substr(0, 14), "conf.yaml:2:3:");
}

TEST_F(Instances, AWarningOfValidateDoesNotStopTheStart) {
    world_.modules.add(FLOWD_PLUGIN, "fireflyp", ports_).validate = [](const flowd_host*, const flowd_value*,
                                                                       const flowd_problems* to) {
        report(to, "", "is odd", FLOWD_LEVEL_WARNING);
        return flowd_result{FLOWD_OK};
    };
    const auto loaded = world_.parse("plugins:\n  fireflyp:\nbackends: {firefly: }\n");
    EXPECT_TRUE(loaded.configuration);
    EXPECT_EQ(loaded.problems.to_string(), "conf.yaml:2:3: warning: plugins.fireflyp: is odd\n");
}

TEST_F(Instances, ARefusalOfValidateWithoutAProblemIsReported) {
    world_.modules.add(FLOWD_PLUGIN, "fireflyp", ports_).validate =
        [](const flowd_host*, const flowd_value*, const flowd_problems*) { return flowd_result{FLOWD_ERROR}; };
    EXPECT_NE(problems("plugins: {fireflyp: }\n").find("refused by the module without a reason"), std::string::npos);
}

TEST_F(Instances, AnExceptionInValidateIsReportedAsAProblem) {
    world_.modules.add(FLOWD_PLUGIN, "fireflyp", ports_).validate = [](const flowd_host*, const flowd_value*,
                                                                       const flowd_problems*) -> flowd_result { throw 42; };
    EXPECT_EQ(problems("plugins: {fireflyp: }\n"),
              "conf.yaml:1:11: error: plugins.fireflyp: validate of the module threw an exception\n"
              "    hint:    this is a defect of the module\n");
}

TEST_F(Instances, ValidateIsNotCalledWithInvalidOptions) {
    world_.modules.add(FLOWD_PLUGIN, "fireflyp", ports_).validate = [](const flowd_host*, const flowd_value*,
                                                                       const flowd_problems* to) {
        report(to, "", "a cascade", FLOWD_LEVEL_ERROR);
        return flowd_result{FLOWD_INVALID};
    };
    EXPECT_EQ(world_.parse("plugins: {fireflyp: {port: x}}\n").problems.errors(), 1u);
}

TEST_F(Instances, ASecretInAProblemOfValidateIsRedacted) {
    world_.modules.add(FLOWD_PLUGIN, "fireflyp", ports_).validate = [](const flowd_host*, const flowd_value*,
                                                                       const flowd_problems* to) {
        report(to, "token", "hunter2 is too short", FLOWD_LEVEL_ERROR, "hunter2");
        return flowd_result{FLOWD_INVALID};
    };
    const std::string text = problems("plugins: {fireflyp: {token: hunter2}}\n");
    EXPECT_EQ(text.find("hunter2"), std::string::npos);
    EXPECT_NE(text.find("(secret) is too short"), std::string::npos);
}

TEST_F(Instances, AreEqualIfTheirValuesAreWhateverTheSpelling) {
    const auto key = [this](const std::string& text) {
        return std::move(*world_.parse(text + "\nbackends: {firefly: }").configuration);
    };
    const Configuration a = key("plugins: {fireflyp: {}}");
    const Configuration b = key("# moved\nplugins:\n  firefly:\n    port: 10514");
    const Configuration c = key("plugins: {fireflyp: {port: 7}}");
    const Configuration d = key("plugins: {fireflyp: {token: x}}");
    const Configuration e = key("plugins: {fireflyp: {module: /opt/x.so}}");
    EXPECT_TRUE(a.instances[0].same_as(b.instances[0]));
    for (const Configuration* other : {&c, &d, &e}) EXPECT_FALSE(a.instances[0].same_as(other->instances[0]));
    EXPECT_FALSE(a.instances[0].same_as(a.instances[1]));
}

TEST_F(Instances, AnInvalidTableIsAnErrorOfTheModule) {
    const std::vector<flowd_option> broken{row(99, "x")};
    world_.modules.add(FLOWD_PLUGIN, "fireflyp", broken);
    const auto loaded = world_.parse("plugins: {fireflyp: }\n");
    EXPECT_EQ(loaded.problems[0].message, "module /lib/fireflyp.so: option x: type 99 is unknown to this core");
    EXPECT_EQ(loaded.problems.decisive()->category, Problem::Category::module_missing);
}

TEST(CatalogFile, ThePackagedOneKnowsTheAliasesOfFlowdGo) {
    const auto catalog = Catalog::load(std::filesystem::path(FLOWD_SOURCE_DIR) / "etc/catalog.yaml");
    ASSERT_TRUE(catalog) << catalog.error().message;
    EXPECT_EQ(catalog->find(FLOWD_PLUGIN, "firefly")->name, "fireflyp");
    EXPECT_EQ(catalog->find(FLOWD_PLUGIN, "namedPipe")->name, "namedpipe");
    EXPECT_EQ(catalog->find(FLOWD_PLUGIN, "np")->package, "flowd-cpp-plugin-namedpipe");
    EXPECT_EQ(catalog->find(FLOWD_BACKEND, "firefly")->name, "firefly");
    EXPECT_EQ(catalog->find(FLOWD_BACKEND, "prometheus")->name, "metrics");
    EXPECT_EQ(catalog->find(FLOWD_PLUGIN, "prometheus"), nullptr);
}

TEST(CatalogFile, AnInvalidCatalogIsRefusedWithAPosition) {
    const auto catalog = Catalog::parse("plugins:\n  x: {alias: [y]}\n", "catalog.yaml");
    ASSERT_FALSE(catalog);
    EXPECT_EQ(catalog.error().message.substr(0, 13), "catalog.yaml:");
}

TEST_F(Instances, TheSampleOfTheDocumentationIsReportedByItsMeaning) {
    const auto loaded = world_.parse(R"({
  "settings": {"plugin": "", "backends": ["udp_firefly"], "flow_map_api": "https://scitags.org/api.json"},
  "firefly": {"collector_host": "collector.scitags.org", "collector_port": 10514}
})");
    ASSERT_EQ(loaded.problems.errors(), 1U) << loaded.problems.to_string();
    const Problem& problem = *loaded.problems.decisive();
    EXPECT_EQ(problem.message, "this is the sample of the SciTags how-to, which neither flowd-go nor flowd-cpp reads");
    EXPECT_EQ(problem.hint,
              "it means: {backends: {firefly: {sendToCollector: true, collectorAddress: collector.scitags.org, "
              "collectorPort: 10514}}}, and below `plugins:` where the flows come from; the registry is installed with "
              "flowd-cpp");
}

}  // namespace
}  // namespace flowd::core::test
