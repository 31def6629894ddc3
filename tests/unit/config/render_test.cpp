// SPDX-License-Identifier: Apache-2.0
// The effective configuration, schemas and reference pages.
#include "core/config/render.hpp"

#include <gtest/gtest.h>
#include <simdjson.h>

#include "tests/unit/config/fakes.hpp"

namespace flowd::core::test {
namespace {

const char* const rendered_modes[] = {"lean", "full", nullptr};
const char* const bind_port[] = {"bindPort", nullptr};

class Render : public ::testing::Test {
  protected:
    Render() {
        world_.modules.add(FLOWD_PLUGIN, "x", table_);
        world_.modules.add(FLOWD_BACKEND, "sink", none_);
    }
    ComponentOptions component() {
        return {
            FLOWD_PLUGIN, "x", {"ex"}, "Does x.", read_options(table_.data(), table_.size(), sizeof(flowd_option)).value()};
    }
    static bool is_json(const std::string& text) {
        simdjson::dom::parser parser;
        return parser.parse(simdjson::padded_string(text)).error() == simdjson::SUCCESS;
    }

    World world_;
    std::vector<flowd_option> none_;
    std::vector<flowd_option> collector_{required(row(FLOWD_OPTION_HOST, "address")),
                                         range(row(FLOWD_OPTION_INTEGER, "port", "10514"), 1, 65535)};
    std::vector<flowd_option> collector_item_{with(row(FLOWD_OPTION_GROUP, nullptr), collector_)};
    std::vector<flowd_option> address_{row(FLOWD_OPTION_ADDRESS, nullptr)};
    std::vector<flowd_option> text_{row(FLOWD_OPTION_STRING, nullptr)};
    std::vector<flowd_option> table_{
        aliases(range(row(FLOWD_OPTION_INTEGER, "port", "7"), 1, 65535), bind_port),
        row(FLOWD_OPTION_EXPERIMENT, "experiment"),
        row(FLOWD_OPTION_ACTIVITY, "activity"),
        secret(row(FLOWD_OPTION_STRING, "token", "changeme")),
        unit(row(FLOWD_OPTION_DURATION, "wait", "250"), "ms"),
        choices(row(FLOWD_OPTION_CHOICE, "mode", "lean"), rendered_modes),
        with(row(FLOWD_OPTION_LIST, "collectors"), collector_item_),
        with(row(FLOWD_OPTION_MAP, "mapping"), address_),
        with(row(FLOWD_OPTION_LIST, "names", "[a, \"b c\", yes]"), text_),
        row(FLOWD_OPTION_STRING, "unset"),
        row(FLOWD_OPTION_SIZE, "size", "64 MiB"),
    };
};

constexpr const char* conf =
    "plugins:\n  x/one:\n    bindPort: 8\n    experiment: atlas\n    activity: debug\n    token: hunter2\n"
    "    collectors: [{address: a.example}]\n    mapping: {192.0.2.1: 198.51.100.1}\nbackends:\n  sink: {required: "
    "false}\n";

TEST_F(Render, TheEffectiveConfigurationHasDefaultsAndNoSecrets) {
    const auto loaded = world_.parse(conf);
    ASSERT_TRUE(loaded.configuration) << loaded.problems.to_string();
    const std::string yaml = effective_yaml(*loaded.configuration, world_.registry);
    EXPECT_EQ(yaml.substr(yaml.find("plugins:")),
              "plugins:\n"
              "  x/one:\n"
              "    required: true\n"
              "    port: 8\n"
              "    experiment: 2  # atlas\n"
              "    activity: 9  # Debug\n"
              "    token: \"(secret)\"\n"
              "    wait: 250ms\n"
              "    mode: lean\n"
              "    collectors:\n"
              "      -\n"
              "        address: a.example\n"
              "        port: 10514\n"
              "    mapping:\n"
              "      \"192.0.2.1\": \"198.51.100.1\"\n"
              "    names: [a, \"b c\", \"yes\"]\n"
              "    size: 64 MiB\n"
              "backends:\n"
              "  sink:\n"
              "    required: false\n"
              "enrichers:\n"
              "  period: 1s\n");
    EXPECT_NE(yaml.find("flows:\n  maxLive: 1000000\n  idleTimeout: 1min\n"), std::string::npos) << yaml;
}

TEST_F(Render, TheEffectiveConfigurationLoadsAgainAsTheSame) {
    const auto loaded = world_.parse(conf);
    const auto again = world_.parse(effective_yaml(*loaded.configuration, world_.registry));
    ASSERT_TRUE(again.configuration) << again.problems.to_string();
    EXPECT_EQ(again.configuration->globals, loaded.configuration->globals);
    const flowd_value& before = loaded.configuration->instances[0].value();
    const flowd_value& after = again.configuration->instances[0].value();
    for (std::size_t i = 0; i < before.item_count; ++i) {
        if (table_[i].flags & FLOWD_OPTION_SECRET) continue;
        EXPECT_TRUE(same_value(*item_at(before, i), *item_at(after, i))) << table_[i].name;
    }
}

TEST_F(Render, TheEffectiveConfigurationAsJson) {
    const auto loaded = world_.parse(conf);
    std::string text;
    json::Writer writer(text);
    write_effective_json(writer, *loaded.configuration);
    EXPECT_TRUE(is_json(text));
    EXPECT_NE(
        text.find(
            R"json("x/one":{"required":true,"port":8,"experiment":2,"activity":9,"token":"(secret)","wait":"250ms")json"),
        std::string::npos)
        << text;
    EXPECT_EQ(text.find("hunter2"), std::string::npos);
}

TEST_F(Render, AProblemAsJson) {
    const auto loaded = world_.parse("plugins: {x: {port: 0}}");
    std::string text;
    json::Writer writer(text);
    loaded.problems[0].write(writer);
    EXPECT_EQ(text, R"({"level":"error","category":"configuration","file":"conf.yaml","line":1,"column":21,)"
                    R"("path":"plugins.x.port","message":"out of range","found":"0","allowed":"an integer, 1 to 65535"})");
}

TEST_F(Render, TheSchemaOfAComponentIsJsonAndKeepsTheDefaultOfASecretToItself) {
    const std::string schema = options_schema(component());
    EXPECT_TRUE(is_json(schema));
    EXPECT_NE(
        schema.find(R"("port":{"description":"Does something.","type":"integer","minimum":1,"maximum":65535,"default":7})"),
        std::string::npos)
        << schema;
    EXPECT_NE(schema.find(R"("bindPort":{)"), std::string::npos);
    EXPECT_NE(schema.find(R"("enum":["lean","full"])"), std::string::npos);
    EXPECT_NE(schema.find(R"("anyOf":[{"required":["address"]}])"), std::string::npos);
    EXPECT_NE(schema.find(R"("additionalProperties":false)"), std::string::npos);
    EXPECT_EQ(schema.find("changeme"), std::string::npos);
}

TEST_F(Render, TheSchemaOfAConfigurationKnowsSectionsAliasesAndNames) {
    const std::string schema = configuration_schema({component()});
    EXPECT_TRUE(is_json(schema));
    EXPECT_NE(schema.find(R"("^(x|ex)(/[A-Za-z0-9._-]{1,64})?$")"), std::string::npos);
    EXPECT_NE(schema.find(R"("period":{)"), std::string::npos);
    EXPECT_NE(schema.find(R"("maxLive":{)"), std::string::npos);
}

TEST_F(Render, AReferencePageIsMadeFromTheTable) {
    const std::string page = reference_page(component());
    EXPECT_EQ(page.substr(0, page.find("| `experiment`")),
              "## plugins.x\n\nDoes x.\n\nAlso spelled ex.\n\n"
              "| option | type | default | allowed | meaning |\n|---|---|---|---|---|\n"
              "| `port` | integer | `7` | an integer, 1 to 65535 | Does something. Also spelled bindPort. |\n");
    EXPECT_NE(page.find("| `collectors[].address` | host | required | a host name or an address | Does something. |"),
              std::string::npos)
        << page;
    EXPECT_EQ(page.find("changeme"), std::string::npos);
}

TEST_F(Render, OptionsAsJson) {
    std::string text;
    json::Writer writer(text);
    writer.array();
    write_options(writer, component().options);
    writer.end();
    EXPECT_TRUE(is_json(text));
    EXPECT_NE(text.find(R"({"name":"port","type":"integer","doc":"Does something.","required":false,"default":"7",)"
                        R"("allowed":"an integer, 1 to 65535","aliases":["bindPort"]})"),
              std::string::npos)
        << text;
    EXPECT_EQ(text.find("changeme"), std::string::npos);
}

}  // namespace
}  // namespace flowd::core::test
