// SPDX-License-Identifier: Apache-2.0
// What an administrator writes, against what the table of a component says.
#include <gtest/gtest.h>

#include "flowd/address.hpp"
#include "tests/unit/config/fakes.hpp"

namespace flowd::core::test {
namespace {

const char* const modes[] = {"lean", "compatible", "full", nullptr};
const char* const port_aliases[] = {"bindPort", nullptr};

class Options : public ::testing::Test {
  protected:
    /// The one plugin `x` with this table, configured like that.
    LoadedConfiguration load(const std::vector<flowd_option>& table, const std::string& options) {
        table_ = table;
        world_.modules.add(FLOWD_PLUGIN, "x", table_);
        world_.modules.add(FLOWD_BACKEND, "sink", none_);
        return world_.parse("backends: {sink: }\nplugins:\n  x:\n" + options);
    }
    std::string problems(const std::vector<flowd_option>& table, const std::string& options) {
        return load(table, options).problems.to_string();
    }
    /// The first value of a configuration that has to be right.
    const flowd_value& value(const std::vector<flowd_option>& table, const std::string& options) {
        loaded_ = load(table, options);
        EXPECT_EQ(loaded_.problems.to_string(), "");
        if (!loaded_.configuration) throw std::runtime_error("not loaded");
        return *item_at(loaded_.configuration->find(FLOWD_PLUGIN, "x")->value(), 0);
    }

    World world_;
    std::vector<flowd_option> none_;
    std::vector<flowd_option> table_;
    LoadedConfiguration loaded_;
};

TEST_F(Options, AnUnknownKeyIsAnErrorWithTheNearestName) {
    EXPECT_EQ(problems({row(FLOWD_OPTION_INTEGER, "bindPort", "1"), row(FLOWD_OPTION_STRING, "bindAddress", "a")},
                       "    bindPrt: 7777\n"),
              "conf.yaml:4:5: error: plugins.x.bindPrt: unknown key\n"
              "    found:   bindPrt\n"
              "    allowed: bindPort, bindAddress, required, module or announce\n"
              "    nearest: bindPort\n"
              "    hint:    write bindPort\n");
}

TEST_F(Options, AnOutOfRangeErrorHasTheRange) {
    EXPECT_EQ(problems({range(row(FLOWD_OPTION_INTEGER, "port"), 1, 65535)}, "    port: 70000\n"),
              "conf.yaml:4:11: error: plugins.x.port: out of range\n"
              "    found:   70000\n"
              "    allowed: an integer, 1 to 65535\n");
    EXPECT_NE(problems({range(row(FLOWD_OPTION_INTEGER, "port"), 1, 65535)}, "    port: 99999999999999999999\n"), "");
}

TEST_F(Options, AWrongTypeErrorHasTheExpectedType) {
    EXPECT_EQ(problems({row(FLOWD_OPTION_BOOLEAN, "enrich", "false")}, "    enrich: maybe\n"),
              "conf.yaml:4:13: error: plugins.x.enrich: not true or false\n"
              "    found:   maybe\n"
              "    allowed: true or false\n");
    EXPECT_EQ(problems({row(FLOWD_OPTION_INTEGER, "port")}, "    port: [1]\n"),
              "conf.yaml:4:11: error: plugins.x.port: not an integer\n"
              "    found:   a list\n"
              "    allowed: an integer\n"
              "    hint:    write 1, without brackets\n");
}

TEST_F(Options, AKeyWithoutAValueIsNotItsDefault) {
    EXPECT_EQ(problems({row(FLOWD_OPTION_INTEGER, "port", "1")}, "    port:\n"),
              "conf.yaml:4:5: error: plugins.x.port: has no value\n"
              "    found:   nothing\n"
              "    allowed: an integer\n"
              "    hint:    write one, or remove the line\n");
}

TEST_F(Options, AWrongChoiceOffersTheNearest) {
    EXPECT_EQ(problems({choices(row(FLOWD_OPTION_CHOICE, "mode", "lean"), modes)}, "    mode: compatibel\n"),
              "conf.yaml:4:11: error: plugins.x.mode: not one of the choices\n"
              "    found:   compatibel\n"
              "    allowed: lean, compatible or full\n"
              "    nearest: compatible\n"
              "    hint:    write compatible\n");
}

TEST_F(Options, AMissingRequiredOptionIsNamedAtItsInstance) {
    EXPECT_EQ(problems({required(range(row(FLOWD_OPTION_INTEGER, "port"), 1, 65535))}, ""),
              "conf.yaml:3:3: error: plugins.x.port: required, but not written\n"
              "    allowed: an integer, 1 to 65535\n"
              "    hint:    add `port:` here\n");
}

TEST_F(Options, AllProblemsAreReportedTogetherAndOnce) {
    const auto loaded = load({range(row(FLOWD_OPTION_INTEGER, "port"), 1, 65535), row(FLOWD_OPTION_BOOLEAN, "enrich"),
                              required(row(FLOWD_OPTION_STRING, "name"))},
                             "    port: 0\n    enrich: 7\n    colour: red\n");
    ASSERT_EQ(loaded.problems.size(), 4u);
    EXPECT_EQ(loaded.problems[0].path, "plugins.x.name");
    EXPECT_EQ(loaded.problems[1].path, "plugins.x.port");
    EXPECT_EQ(loaded.problems[2].path, "plugins.x.enrich");
    EXPECT_EQ(loaded.problems[3].path, "plugins.x.colour");
    EXPECT_FALSE(loaded.configuration);
}

TEST_F(Options, AnAliasIsEquivalentToTheName) {
    EXPECT_EQ(value({aliases(row(FLOWD_OPTION_INTEGER, "port"), port_aliases)}, "    bindPort: 7\n").integer, 7);
}

TEST_F(Options, NameAndAliasTogetherAreAnError) {
    EXPECT_EQ(problems({aliases(row(FLOWD_OPTION_INTEGER, "port"), port_aliases)}, "    bindPort: 7\n    port: 7\n"),
              "conf.yaml:5:5: error: plugins.x.port: the same option as bindPort\n"
              "    found:   the first is at conf.yaml:4:5\n"
              "    hint:    keep one of the two, best port\n");
}

TEST_F(Options, ADeprecatedOptionWorksWithAWarning) {
    flowd_option old = row(FLOWD_OPTION_INTEGER, "oldPort");
    old.deprecated_by = "port";
    const auto loaded = load({old, row(FLOWD_OPTION_INTEGER, "port", "1")}, "    oldPort: 7\n");
    EXPECT_TRUE(loaded.configuration);
    EXPECT_EQ(loaded.problems.to_string(),
              "conf.yaml:4:5: warning: plugins.x.oldPort: deprecated\n"
              "    hint:    use port instead\n");
}

TEST_F(Options, DefaultsArePresentButNotWritten) {
    const auto& port = value({row(FLOWD_OPTION_INTEGER, "port", "10514")}, "");
    EXPECT_EQ(port.integer, 10514);
    EXPECT_EQ(port.flags, static_cast<std::uint32_t>(FLOWD_VALUE_PRESENT));
    EXPECT_EQ(value({row(FLOWD_OPTION_INTEGER, "port", "10514")}, "    port: 10514\n").flags,
              static_cast<std::uint32_t>(FLOWD_VALUE_PRESENT | FLOWD_VALUE_WRITTEN));
    const auto& unset = value({row(FLOWD_OPTION_INTEGER, "port")}, "");
    EXPECT_EQ(unset.flags, 0u);
    EXPECT_EQ(unset.type, static_cast<std::uint32_t>(FLOWD_OPTION_INTEGER));
}

TEST_F(Options, DurationsAndSizesTakeUnitsAndGiveACanonicalText) {
    const auto& wait = value({unit(row(FLOWD_OPTION_DURATION, "wait"), "ms")}, "    wait: 1500\n");
    EXPECT_EQ(wait.integer, 1'500'000'000);
    EXPECT_EQ(to_view(wait.text), "1500ms");
    EXPECT_EQ(value({unit(row(FLOWD_OPTION_DURATION, "wait"), "ms")}, "    wait: 3s\n").integer, 3'000'000'000);
    EXPECT_EQ(value({row(FLOWD_OPTION_SIZE, "size")}, "    size: 4 MiB\n").integer, 4 << 20);
    EXPECT_EQ(problems({row(FLOWD_OPTION_DURATION, "wait")}, "    wait: 5\n"),
              "conf.yaml:4:11: error: plugins.x.wait: has no unit\n"
              "    found:   5\n"
              "    allowed: a duration such as 3s\n"
              "    hint:    write for example 5s\n");
}

TEST_F(Options, DurationsAreNotNegativeUnlessTheTableAllowsIt) {
    EXPECT_NE(problems({row(FLOWD_OPTION_DURATION, "wait")}, "    wait: -3s\n").find("out of range"), std::string::npos);
    EXPECT_EQ(value({range(row(FLOWD_OPTION_DURATION, "wait"), -5'000'000'000, 0)}, "    wait: -3s\n").integer,
              -3'000'000'000);
}

TEST_F(Options, AddressesAndNetworksAreThoseOfTheSdk) {
    const auto& address = value({row(FLOWD_OPTION_ADDRESS, "a")}, "    a: 2001:DB8:0::1\n");
    EXPECT_EQ(Address(address.address).to_string(), "2001:db8::1");
    EXPECT_EQ(to_view(address.text), "2001:db8::1");
    const auto& network = value({row(FLOWD_OPTION_NETWORK, "n")}, "    n: 192.0.2.0/24\n");
    EXPECT_EQ(network.integer, 120);
    EXPECT_EQ(to_view(network.text), "192.0.2.0/24");
    EXPECT_NE(problems({row(FLOWD_OPTION_ADDRESS, "a")}, "    a: localhost\n").find("not an address"), std::string::npos);
    EXPECT_NE(problems({row(FLOWD_OPTION_NETWORK, "n")}, "    n: 192.0.2.1/24\n").find("not a network"), std::string::npos);
}

TEST_F(Options, HostsAreNamesOrAddresses) {
    for (const char* host : {"collector.example.org", "2001:db8::a", "192.0.2.1", "localhost"})
        EXPECT_EQ(to_view(value({row(FLOWD_OPTION_HOST, "h")}, std::string("    h: ") + host + "\n").text), host);
    for (const char* host : {"a b", "192.0.2.256", "http://x", "a..b", "\"\""})
        EXPECT_NE(problems({required(row(FLOWD_OPTION_HOST, "h"))}, std::string("    h: ") + host + "\n"), "") << host;
}

TEST_F(Options, PathsAreAbsolute) {
    EXPECT_EQ(to_view(value({row(FLOWD_OPTION_PATH, "p")}, "    p: /run/x\n").text), "/run/x");
    EXPECT_EQ(problems({row(FLOWD_OPTION_PATH, "p")}, "    p: run/x\n"),
              "conf.yaml:4:8: error: plugins.x.p: not an absolute file name\n"
              "    found:   run/x\n"
              "    allowed: an absolute file name\n");
}

TEST_F(Options, EmptyTextLeavesAnOptionalPathUnset) {
    EXPECT_EQ(value({row(FLOWD_OPTION_PATH, "p")}, "    p: \"\"\n").flags, 0u);
    EXPECT_NE(problems({row(FLOWD_OPTION_PATH, "p", "/run/x")}, "    p: \"\"\n"), "");
}

TEST_F(Options, StringsAreNotConverted) {
    EXPECT_EQ(to_view(value({row(FLOWD_OPTION_STRING, "s")}, "    s: 0123\n").text), "0123");
    EXPECT_EQ(to_view(value({row(FLOWD_OPTION_STRING, "s")}, "    s: no\n").text), "no");
    EXPECT_EQ(to_view(value({row(FLOWD_OPTION_STRING, "s")}, "    s: \"\"\n").text), "");
}

TEST_F(Options, GroupsListsAndMapsNest) {
    const std::vector<flowd_option> collector{required(row(FLOWD_OPTION_HOST, "address")),
                                              range(row(FLOWD_OPTION_INTEGER, "port", "10514"), 1, 65535)};
    const std::vector<flowd_option> item{with(row(FLOWD_OPTION_GROUP, nullptr), collector)};
    const std::vector<flowd_option> table{with(row(FLOWD_OPTION_LIST, "collectors"), item)};
    const auto& list = value(table, "    collectors:\n      - address: a.example\n      - {address: b.example, port: 7}\n");
    ASSERT_EQ(list.item_count, 2u);
    EXPECT_EQ(item_at(*item_at(list, 0), 1)->integer, 10514);
    EXPECT_EQ(to_view(item_at(*item_at(list, 1), 0)->text), "b.example");

    EXPECT_EQ(problems(table, "    collectors:\n      - address: a.example\n      - {address: b.example, port: 70000}\n"),
              "conf.yaml:6:36: error: plugins.x.collectors[1].port: out of range\n"
              "    found:   70000\n"
              "    allowed: an integer, 1 to 65535\n");
    EXPECT_EQ(problems(table, "    collectors:\n      - port: 7\n"),
              "conf.yaml:5:9: error: plugins.x.collectors[0].address: required, but not written\n"
              "    allowed: a host name or an address\n"
              "    hint:    add `address:` here\n");

    const std::vector<flowd_option> address{row(FLOWD_OPTION_ADDRESS, nullptr)};
    const auto& map = value({with(row(FLOWD_OPTION_MAP, "mapping"), address)},
                            "    mapping:\n      192.0.2.148: 198.51.100.1\n      2001:db8::1: 2001:db8::2\n");
    ASSERT_EQ(map.item_count, 2u);
    EXPECT_EQ(to_view(item_at(map, 0)->key), "192.0.2.148");
    EXPECT_EQ(to_view(item_at(map, 1)->text), "2001:db8::2");
}

TEST_F(Options, AListIsWrittenAsAYamlList) {
    const std::vector<flowd_option> text{row(FLOWD_OPTION_STRING, nullptr)};
    EXPECT_EQ(problems({with(row(FLOWD_OPTION_LIST, "interfaces"), text)}, "    interfaces: eno1\n"),
              "conf.yaml:4:17: error: plugins.x.interfaces: has to be a list\n"
              "    found:   eno1\n"
              "    allowed: a list, each text\n"
              "    hint:    write [eno1]\n");
}

/// The hint of the only problem.
std::string hint_in(const std::string& text) {
    const auto at = text.find("hint:    ");
    return at == std::string::npos ? "" : text.substr(at + 9, text.find('\n', at) - at - 9);
}

TEST_F(Options, APortAfterAnAddressIsAnErrorThatNamesThePortOption) {
    const std::vector<flowd_option> table{row(FLOWD_OPTION_HOST, "collectorAddress"),
                                          row(FLOWD_OPTION_INTEGER, "collectorPort", "10514"),
                                          row(FLOWD_OPTION_ADDRESS, "bindAddress"), row(FLOWD_OPTION_INTEGER, "port", "1")};
    const auto hint = [&](const std::string& line) { return hint_in(problems(table, "    " + line + "\n")); };
    EXPECT_EQ(hint("collectorAddress: collector.example.org:10514"),
              "write `collectorAddress: collector.example.org` and `collectorPort: 10514`");
    EXPECT_EQ(hint("collectorAddress: '[2001:db8::1]:20514'"),
              "write `collectorAddress: \"2001:db8::1\"` and `collectorPort: 20514`");
    EXPECT_EQ(hint("bindAddress: 192.0.2.1:9100"), "write `bindAddress: 192.0.2.1` and `port: 9100`");
    EXPECT_EQ(hint("collectorAddress: collector.example.org:99999"), "");
    const std::vector<flowd_option> host{row(FLOWD_OPTION_HOST, nullptr)};
    EXPECT_EQ(hint_in(problems({with(row(FLOWD_OPTION_LIST, "servers"), host)}, "    servers: [stun.example.org:3478]\n")),
              "write stun.example.org: there is no port in it");
}

TEST_F(Options, AListForAScalarAndAScalarForAListAreErrors) {
    const std::vector<flowd_option> fields{required(row(FLOWD_OPTION_HOST, "address")),
                                           row(FLOWD_OPTION_INTEGER, "port", "1")};
    const std::vector<flowd_option> item{with(row(FLOWD_OPTION_GROUP, nullptr), fields)};
    const std::vector<flowd_option> table{row(FLOWD_OPTION_HOST, "collectorAddress"), row(FLOWD_OPTION_STRING, "name"),
                                          with(row(FLOWD_OPTION_LIST, "collectors"), item)};
    const auto hint = [&](const std::string& line) { return hint_in(problems(table, "    " + line + "\n")); };
    EXPECT_EQ(hint("collectorAddress: [a.example.org, b.example.org]"),
              "write `collectors: [{address: a.example.org}, {address: b.example.org}]`");
    EXPECT_EQ(hint("collectorAddress: [a.example.org]"), "write a.example.org, without brackets");
    EXPECT_EQ(hint("name: [a, b]"), "write one value: a");
    EXPECT_EQ(hint("name: {a: b}"), "write one value");
    EXPECT_EQ(hint("collectors: a.example.org"), "write [{address: a.example.org}]");
    EXPECT_EQ(hint("collectors: [a.example.org]"), "write {address: a.example.org}");
    EXPECT_EQ(hint("collectors: {address: a.example.org}"), "begin each entry with a hyphen: `- address: ...`");
}

TEST_F(Options, AZoneAfterAnAddressIsNotSilentlyDropped) {
    EXPECT_EQ(problems({row(FLOWD_OPTION_ADDRESS, "bindAddress")}, "    bindAddress: fe80::1%eth0\n"),
              "conf.yaml:4:18: error: plugins.x.bindAddress: an interface cannot be given here\n"
              "    found:   fe80::1%eth0\n"
              "    allowed: an IPv4 or IPv6 address\n"
              "    hint:    write another address, or :: for all\n");
}

TEST_F(Options, AVariableIsNotSubstituted) {
    const std::vector<flowd_option> table{row(FLOWD_OPTION_HOST, "collectorAddress"), row(FLOWD_OPTION_INTEGER, "port"),
                                          row(FLOWD_OPTION_STRING, "name"), secret(row(FLOWD_OPTION_STRING, "token"))};
    EXPECT_EQ(hint_in(problems(table, "    collectorAddress: ${COLLECTOR}\n")),
              "variables are not substituted: write the value itself");
    EXPECT_EQ(hint_in(problems(table, "    port: ${PORT:-1}\n")), "variables are not substituted: write the value itself");
    EXPECT_EQ(problems(table, "    name: a${NAME}\n"),
              "conf.yaml:4:11: warning: plugins.x.name: taken as it is written: variables are not substituted\n"
              "    found:   a${NAME}\n"
              "    hint:    write the value itself\n");
    EXPECT_NE(problems(table, "    token: ${TOKEN}\n").find("found:   (secret)"), std::string::npos);
    EXPECT_EQ(problems(table, "    name: $NAME and {braces}\n"), "");
}

TEST_F(Options, TheLengthOfAListIsBounded) {
    const std::vector<flowd_option> text{row(FLOWD_OPTION_STRING, nullptr)};
    EXPECT_EQ(problems({range(with(row(FLOWD_OPTION_LIST, "names"), text), 1, 2)}, "    names: [a, b, c]\n"),
              "conf.yaml:4:12: error: plugins.x.names: 3 items, which is out of range\n"
              "    found:   a list\n"
              "    allowed: a list (1 to 2 items), each text\n");
}

TEST_F(Options, AnAbsentGroupHasDefaultsUnlessAMemberIsRequired) {
    const std::vector<flowd_option> fields{row(FLOWD_OPTION_INTEGER, "port", "7")};
    const auto& group = value({with(row(FLOWD_OPTION_GROUP, "g"), fields)}, "");
    EXPECT_EQ(group.flags, static_cast<std::uint32_t>(FLOWD_VALUE_PRESENT));
    EXPECT_EQ(item_at(group, 0)->integer, 7);
    const std::vector<flowd_option> strict{required(row(FLOWD_OPTION_INTEGER, "port"))};
    EXPECT_EQ(value({with(row(FLOWD_OPTION_GROUP, "g"), strict)}, "").flags, 0u);
    EXPECT_NE(problems({with(row(FLOWD_OPTION_GROUP, "g"), strict)}, "    g:\n"), "");
}

TEST_F(Options, SecretsAreNeverPrinted) {
    const std::string wrong = problems({secret(range(row(FLOWD_OPTION_INTEGER, "pin"), 1, 5))}, "    pin: hunter2\n");
    EXPECT_NE(wrong.find("found:   (secret)"), std::string::npos);
    EXPECT_EQ(wrong.find("hunter2"), std::string::npos);
    const std::vector<flowd_option> fields{secret(row(FLOWD_OPTION_STRING, "password"))};
    EXPECT_EQ(problems({with(row(FLOWD_OPTION_GROUP, "login"), fields)}, "    login: hunter2\n").find("hunter2"),
              std::string::npos);
    const std::vector<flowd_option> item{secret(row(FLOWD_OPTION_STRING, nullptr))};
    EXPECT_EQ(problems({with(row(FLOWD_OPTION_LIST, "tokens"), item)}, "    tokens: hunter2\n").find("hunter2"),
              std::string::npos);
}

TEST_F(Options, ATrustedPathIsChecked) {
    flowd_option path = row(FLOWD_OPTION_PATH, "programPath");
    path.flags |= FLOWD_OPTION_TRUSTED;
    world_.trust = [](const std::filesystem::path& file) -> Result<std::filesystem::path> {
        return Error{FLOWD_DENIED, file.string() + " is writable by others", "chmod o-w " + file.string()};
    };
    EXPECT_EQ(problems({path}, "    programPath: /tmp/x.o\n"),
              "conf.yaml:4:18: error: plugins.x.programPath: /tmp/x.o is writable by others\n"
              "    found:   /tmp/x.o\n"
              "    allowed: an absolute file name\n"
              "    hint:    chmod o-w /tmp/x.o\n");
}

TEST_F(Options, TheTreeSurvivesAMove) {
    (void)value({row(FLOWD_OPTION_STRING, "s")}, "    s: a text that is long enough to be on the heap\n");
    const Configuration moved = std::move(*loaded_.configuration);
    EXPECT_EQ(to_view(item_at(moved.find(FLOWD_PLUGIN, "x")->value(), 0)->text),
              "a text that is long enough to be on the heap");
}

}  // namespace
}  // namespace flowd::core::test
