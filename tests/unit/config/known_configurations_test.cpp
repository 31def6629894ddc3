// SPDX-License-Identifier: Apache-2.0
// The forms of configuration that are in use: of flowd-go's manual, of its releases, of perfSONAR's installers.
#include <gtest/gtest.h>

#include "flowd/address.hpp"
#include "tests/unit/config/fakes.hpp"

namespace flowd::core::test {
namespace {

const char* const activity_id[] = {"activityID", nullptr};
const char* const experiment_id[] = {"experimentID", nullptr};
const char* const force_hook_removal[] = {"forceHookRemoval", nullptr};
const char* const strategies[] = {"label", "hopByHopHeader", nullptr};
const char* const enrichment_modes[] = {"lean", "compatible", "", nullptr};
const char* const poll_strategies[] = {"poll", "transition", nullptr};

/// Tables with the keys that flowd-go has, all of them expressed by the option mechanism.
class KnownConfigurations : public ::testing::Test {
  protected:
    KnownConfigurations() {
        FakeModules& m = world_.modules;
        m.add(FLOWD_PLUGIN, "api", listen_);
        m.add(FLOWD_PLUGIN, "namedpipe", pipe_);
        m.add(FLOWD_PLUGIN, "fireflyp", fireflyp_);
        m.add(FLOWD_PLUGIN, "iperf3", iperf3_);
        m.add(FLOWD_PLUGIN, "perfsonar", perfsonar_);
        m.add(FLOWD_BACKEND, "firefly", firefly_);
        m.add(FLOWD_BACKEND, "marker", marker_);
        m.add(FLOWD_BACKEND, "metrics", metrics_);
        m.add(FLOWD_ENRICHER, "netlink", netlink_);
        m.add(FLOWD_ENRICHER, "skops", skops_);
        world_.registry = Registry::load(std::filesystem::path(FLOWD_SOURCE_DIR) / "etc/registry.json").value();
        world_.catalog = Catalog::load(std::filesystem::path(FLOWD_SOURCE_DIR) / "etc/catalog.yaml").value();
    }
    Configuration load(std::string_view text) {
        auto loaded = world_.parse(text);
        EXPECT_EQ(loaded.problems.to_string(), "");
        if (!loaded.configuration) throw std::runtime_error("not loaded");
        return std::move(*loaded.configuration);
    }
    /// The value of an option of the top level of an instance.
    static const flowd_value& value(const InstanceConfig& instance, std::string_view name) {
        for (std::size_t i = 0; i < instance.options.size(); ++i)
            if (instance.options[i].name == name) return *item_at(instance.value(), i);
        throw std::runtime_error("no option " + std::string(name));
    }

    World world_;
    using Rows = std::vector<flowd_option>;
    Rows text_{row(FLOWD_OPTION_STRING, nullptr)}, address_{row(FLOWD_OPTION_ADDRESS, nullptr)};
    Rows activity_{row(FLOWD_OPTION_ACTIVITY, nullptr)}, experiment_{row(FLOWD_OPTION_EXPERIMENT, nullptr)};
    Rows listen_{row(FLOWD_OPTION_ADDRESS, "bindAddress", "127.0.0.1"),
                 range(row(FLOWD_OPTION_INTEGER, "bindPort", "7777"), 1, 65535)};
    Rows pipe_{row(FLOWD_OPTION_INTEGER, "maxReaders", "5"), row(FLOWD_OPTION_SIZE, "buffSize", "1000"),
               row(FLOWD_OPTION_PATH, "pipePath", "/var/run/flowd")};
    Rows receiver_{required(row(FLOWD_OPTION_HOST, "address")), row(FLOWD_OPTION_INTEGER, "port", "10514")};
    Rows receiver_item_{with(row(FLOWD_OPTION_GROUP, nullptr), receiver_)};
    Rows fireflyp_{row(FLOWD_OPTION_ADDRESS, "bindAddress", "127.0.0.1"),
                   row(FLOWD_OPTION_INTEGER, "bindPort", "10514"),
                   row(FLOWD_OPTION_SIZE, "bufferSize", "4096"),
                   unit(row(FLOWD_OPTION_DURATION, "deadline", "0"), "s"),
                   row(FLOWD_OPTION_BOOLEAN, "hasSyslogHeader", "false"),
                   with(row(FLOWD_OPTION_LIST, "fireflyReceivers"), receiver_item_)};
    Rows iperf3_{row(FLOWD_OPTION_INTEGER, "minSourcePort", "0"),
                 row(FLOWD_OPTION_INTEGER, "maxSourcePort", "0"),
                 row(FLOWD_OPTION_INTEGER, "minDestinationPort", "5200"),
                 row(FLOWD_OPTION_INTEGER, "maxDestinationPort", "5210"),
                 row(FLOWD_OPTION_PATH, "cgroupPath", "/sys/fs/cgroup"),
                 row(FLOWD_OPTION_PATH, "programPath", ""),
                 row(FLOWD_OPTION_BOOLEAN, "debugMode", "false"),
                 row(FLOWD_OPTION_BOOLEAN, "randomIDs", "false"),
                 with(row(FLOWD_OPTION_LIST, "activityIDs"), activity_),
                 with(row(FLOWD_OPTION_LIST, "experimentIDs"), experiment_)};
    Rows perfsonar_{required(aliases(row(FLOWD_OPTION_EXPERIMENT, "experimentId"), experiment_id)),
                    required(aliases(row(FLOWD_OPTION_ACTIVITY, "activityId"), activity_id))};
    Rows stun_{with(row(FLOWD_OPTION_MAP, "manualMapping"), address_), with(row(FLOWD_OPTION_LIST, "stunServers"), text_)};
    Rows firefly_{row(FLOWD_OPTION_INTEGER, "destinationPort", "10514"),
                  row(FLOWD_OPTION_BOOLEAN, "prependSyslog", "true"),
                  row(FLOWD_OPTION_BOOLEAN, "sendToDestination", "true"),
                  row(FLOWD_OPTION_BOOLEAN, "sendToCollector", "false"),
                  with(row(FLOWD_OPTION_LIST, "collectors"), receiver_item_),
                  row(FLOWD_OPTION_HOST, "collectorAddress", "127.0.0.1"),
                  row(FLOWD_OPTION_INTEGER, "collectorPort", "10514"),
                  row(FLOWD_OPTION_BOOLEAN, "enrich", "false"),
                  choices(row(FLOWD_OPTION_CHOICE, "enrichmentMode", "lean"), enrichment_modes),
                  with(row(FLOWD_OPTION_GROUP, "stun"), stun_)};
    Rows marker_{with(row(FLOWD_OPTION_LIST, "targetInterfaces", "[]"), text_),
                 row(FLOWD_OPTION_BOOLEAN, "discoverInterfaces", "false"),
                 aliases(row(FLOWD_OPTION_BOOLEAN, "removeQdisc", "true"), force_hook_removal),
                 row(FLOWD_OPTION_PATH, "programPath", ""),
                 choices(row(FLOWD_OPTION_CHOICE, "markingStrategy", "label"), strategies),
                 row(FLOWD_OPTION_BOOLEAN, "matchAll", "false"),
                 row(FLOWD_OPTION_BOOLEAN, "debugMode", "false")};
    Rows metrics_{row(FLOWD_OPTION_BOOLEAN, "log", "true"), row(FLOWD_OPTION_ADDRESS, "bindAddress", "127.0.0.1"),
                  row(FLOWD_OPTION_INTEGER, "netlinkPort", "8080"), row(FLOWD_OPTION_INTEGER, "skopsPort", "8081")};
    Rows netlink_{row(FLOWD_OPTION_INTEGER, "protocol", "6"), row(FLOWD_OPTION_INTEGER, "ext", "255"),
                  row(FLOWD_OPTION_INTEGER, "state", "3071")};
    Rows skops_{row(FLOWD_OPTION_PATH, "cgroupPath", "/sys/fs/cgroup"), row(FLOWD_OPTION_PATH, "programPath", ""),
                row(FLOWD_OPTION_BOOLEAN, "debugMode", "false"),
                choices(row(FLOWD_OPTION_CHOICE, "strategy", "poll"), poll_strategies)};
};

TEST_F(KnownConfigurations, EveryKeyOfTheManualLoads) {
    const Configuration all = load(R"(---
pidPath: "/var/run/flowd-go/pid"
workDir: "/var/cache/flowd-go"
plugins:
    api: {bindAddress: "127.0.0.1", bindPort: 7777}
    namedPipe: {maxReaders: 5, buffSize: 1000, pipePath: "/var/run/flowd-go/np"}
    firefly:
        bindAddress: "127.0.0.1"
        bindPort: 10514
        bufferSize: 4096
        deadline: 0
        hasSyslogHeader: false
    iperf3:
        minSourcePort: 0
        maxDestinationPort: 5210
        cgroupPath: "/sys/fs/cgroup"
        programPath: ""
        randomIDs: false
        activityIDs: [0, 1, 2]
        experimentIDs: [0, 1, 2]
    perfsonar: {activityID: 0, experimentID: 0}
backends:
    firefly:
        destinationPort: 10514
        prependSyslog: true
        enrichmentMode: "lean"
        stun:
            manualMapping: {}
            stunServers:
                - stun.example.org:3478
                - stun1.example.org:3478
    marker: {targetInterfaces: ["lo"], removeQdisc: true, programPath: "", markingStrategy: "label", matchAll: true}
    prometheus: {log: true, bindAddress: "127.0.0.1", netlinkPort: 8080, skopsPort: 8081}
enrichers:
    period: 1000
    netlink: {protocol: 6, ext: 255, state: 3071}
    skops: {cgroupPath: "/sys/fs/cgroup", programPath: "", strategy: "Poll"}
)");
    EXPECT_EQ(all.instances.size(), 10u);
    EXPECT_EQ(all.globals.enricher_period, std::chrono::seconds(1));
    EXPECT_EQ(all.globals.pid_path, "/var/run/flowd-go/pid");
    EXPECT_NE(all.find(FLOWD_PLUGIN, "namedpipe"), nullptr);
    EXPECT_NE(all.find(FLOWD_PLUGIN, "fireflyp"), nullptr);
    EXPECT_NE(all.find(FLOWD_BACKEND, "metrics"), nullptr);
    EXPECT_EQ(to_view(value(*all.find(FLOWD_ENRICHER, "skops"), "strategy").text), "poll")
        << "words of a choice have any case";
    const flowd_value& stun = value(*all.find(FLOWD_BACKEND, "firefly"), "stun");
    EXPECT_EQ(item_at(stun, 1)->item_count, 2u);
}

TEST_F(KnownConfigurations, TheShortestOneLoads) {
    EXPECT_EQ(load("plugins:\n  api: {}\nbackends:\n  marker: {}\n  firefly: {}\n").instances.size(), 3u);
}

TEST_F(KnownConfigurations, AConfiguredPublicAddressLoads) {
    const Configuration c = load(
        "plugins:\n  namedPipe: {}\nbackends:\n  firefly:\n    collectorAddress: 2001:db8::a\n"
        "    stun:\n      manualMapping:\n        192.0.2.148: 198.51.100.1\n");
    const flowd_value& mapping = *item_at(value(*c.find(FLOWD_BACKEND, "firefly"), "stun"), 0);
    ASSERT_EQ(mapping.item_count, 1u);
    EXPECT_EQ(to_view(item_at(mapping, 0)->key), "192.0.2.148");
    EXPECT_EQ(Address(item_at(mapping, 0)->address).to_string(), "198.51.100.1");
}

TEST_F(KnownConfigurations, APerfsonarHostWithKeysOfAnEarlierReleaseLoads) {
    const Configuration c = load(
        "plugins:\n  perfsonar:\n    activityId: 2\n    experimentId: 2\nbackends:\n  marker:\n"
        "    targetInterfaces: [ens4f0np0, ens4f1np1]\n    markingStrategy: label\n"
        "    forceHookRemoval: true\n");
    EXPECT_EQ(value(*c.find(FLOWD_BACKEND, "marker"), "targetInterfaces").item_count, 2u);
    EXPECT_EQ(value(*c.find(FLOWD_BACKEND, "marker"), "removeQdisc").integer, 1);
}

TEST_F(KnownConfigurations, APerfsonarHostThatRelaysLoads) {
    const Configuration c = load(
        "plugins:\n  perfsonar: {activityId: 2, experimentId: 2}\n  fireflyp:\n"
        "    fireflyReceivers:\n      - address: \"collector.example.org\"\n        port: 10514\n"
        "backends:\n  marker: {forceHookRemoval: true}\n");
    EXPECT_EQ(value(*c.find(FLOWD_PLUGIN, "fireflyp"), "fireflyReceivers").item_count, 1u);
    const InstanceConfig* implied = c.find(FLOWD_BACKEND, "firefly/receivers");
    ASSERT_NE(implied, nullptr) << "its perfSONAR flows are announced as well";
    EXPECT_EQ(value(*implied, "collectors").item_count, 1u);
    EXPECT_EQ(value(*implied, "sendToDestination").integer, 0);
}

TEST_F(KnownConfigurations, TheInstallersConfigurationLoads) {
    const Configuration c = load(
        "plugins:\n  perfsonar:\n    activityId: 2\n    experimentId: 3\n\nbackends:\n  firefly:\n"
        "    sendToCollector: true\n    collectorAddress: \"collector.example.org\"\n"
        "    prependSyslog: false\n    enrich: true\n  marker:\n    targetInterfaces: [eno1]\n"
        "\nenrichers:\n  period: 60000\n  netlink: {}\n  skops: {}\n");
    EXPECT_EQ(c.globals.enricher_period, std::chrono::seconds(60));
    EXPECT_NE(c.find(FLOWD_ENRICHER, "skops"), nullptr);
}

}  // namespace
}  // namespace flowd::core::test
