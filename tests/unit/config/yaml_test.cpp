// SPDX-License-Identifier: Apache-2.0
#include "core/config/node.hpp"

#include <gtest/gtest.h>

namespace flowd::core {
namespace {

std::string problems_of(std::string_view text) {
    Problems problems;
    (void)read_yaml(text, "conf.yaml", problems);
    return problems.to_string();
}

TEST(Yaml, KeysAndValuesHavePositions) {
    Problems problems;
    const auto root = read_yaml("plugins:\n  api:\n    bindPort: 7777\n", "conf.yaml", problems);
    ASSERT_TRUE(root);
    const YamlNode::Entry* port = root->find("plugins")->value.find("api")->value.find("bindPort");
    EXPECT_EQ(port->where.to_string(), "conf.yaml:3:5");
    EXPECT_EQ(port->value.where.to_string(), "conf.yaml:3:15");
    EXPECT_EQ(port->value.text, "7777");
}

TEST(Yaml, AnEmptyFileIsAnEmptyConfiguration) {
    Problems problems;
    for (const char* text : {"", "---\n", "# nothing\n"}) {
        const auto root = read_yaml(text, "conf.yaml", problems);
        ASSERT_TRUE(root) << text;
        EXPECT_TRUE(root->entries.empty());
    }
    EXPECT_TRUE(problems.empty());
}

TEST(Yaml, AMergeKeyIsRefusedByName) {
    EXPECT_EQ(problems_of("a: &common {x: 1}\nb:\n  <<: *common\n  y: 2\n"),
              "conf.yaml:3:3: error: b.<<: merge keys are not supported\n"
              "    hint:    write the keys themselves; an alias (*name) can stand for a whole value only\n");
    EXPECT_EQ(problems_of("b: {'<<': 1}\n"), "") << "a key in quotes is an ordinary one";
}

TEST(Yaml, ATabIsReportedAsATab) {
    const std::string called = ": error: not YAML: a tab in the indentation\n    hint:    indent with spaces\n";
    EXPECT_EQ(problems_of("plugins:\n\tapi: {}\n"), "conf.yaml:2:1" + called);
    EXPECT_EQ(problems_of("plugins:\n  api:\n  \tbindPort: 1\n"), "conf.yaml:3:3" + called);
    EXPECT_EQ(problems_of("plugins:\n  api: {}\t# a tab here is fine\n"), "");
}

TEST(Yaml, AKeyWrittenTwiceIsAnErrorThatNamesBothPlaces) {
    EXPECT_EQ(problems_of("plugins:\n  api:\n    bindPort: 1\n    bindPort: 2\n"),
              "conf.yaml:4:5: error: plugins.api.bindPort: written twice\n"
              "    found:   the first is at conf.yaml:3:5\n"
              "    hint:    remove one of the two\n");
}

TEST(Yaml, AWholeSectionWrittenTwiceIsAnError) {
    EXPECT_EQ(problems_of("plugins: {}\nbackends: {}\nplugins: {}\n"),
              "conf.yaml:3:1: error: plugins: written twice\n"
              "    found:   the first is at conf.yaml:1:1\n"
              "    hint:    remove one of the two\n");
}

TEST(Yaml, AKeyWrittenTwiceInAListIsFoundByItsIndex) {
    EXPECT_NE(problems_of("a:\n  - x: 1\n  - {y: 1, y: 2}\n").find("a[1].y: written twice"), std::string::npos);
}

TEST(Yaml, ASyntaxErrorHasAPosition) {
    EXPECT_EQ(problems_of("plugins:\n  api: {bindPort: 1\nbackends: {}\n").substr(0, 10), "conf.yaml:");
    EXPECT_NE(problems_of("a: [1, 2\n").find("not YAML"), std::string::npos);
    EXPECT_NE(problems_of("a:\n\t- b\n").find("not YAML"), std::string::npos);
}

TEST(Yaml, TheTopLevelMustBeAMapping) {
    EXPECT_EQ(problems_of("- api\n"),
              "conf.yaml:1:1: error: has to be a group of keys\n"
              "    found:   a list\n"
              "    hint:    begin with a section such as `plugins:`\n");
}

TEST(Yaml, AFileHoldsOneDocument) {
    EXPECT_NE(problems_of("a: 1\n---\nb: 2\n").find("second document"), std::string::npos);
    EXPECT_EQ(problems_of("---\na: 1\n...\n"), "");
}

TEST(Yaml, DepthIsBounded) {
    EXPECT_NE(problems_of("a: " + std::string(100'000, '[')).find("nested too deeply"), std::string::npos);
}

// case C55
TEST(Yaml, AliasesThatMultiplyAreBounded) {
    std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 10; ++i) {
        const std::string before = "*a" + std::to_string(i - 1);
        text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
        for (int j = 0; j < 9; ++j) text += ", " + before;
        text += "]\n";
    }
    EXPECT_NE(problems_of(text).find("too large"), std::string::npos);
}

TEST(Yaml, AnAliasStandsForItsAnchor) {
    Problems problems;
    const auto root = read_yaml("a: &port 10514\nb: *port\n", "conf.yaml", problems);
    ASSERT_TRUE(root);
    EXPECT_EQ(root->find("b")->value.text, "10514");
}

TEST(Yaml, AnAliasInsideOfItsAnchorIsRefused) {
    EXPECT_NE(problems_of("a: &a [*a]\n"), "");
}

TEST(Yaml, ANulCharacterIsRefused) {
    EXPECT_NE(problems_of("a: \"x\\0y\"\n").find("NUL"), std::string::npos);
}

TEST(Yaml, InvalidUtf8IsReportedWithItsLine) {
    EXPECT_EQ(problems_of("a: 1\nb: \xff\n"),
              "conf.yaml:2: error: not UTF-8\n"
              "    hint:    save the file as UTF-8\n");
    EXPECT_EQ(problems_of("a: \xc3\xa9\n"), "");
}

TEST(Yaml, ControlCharactersAreRefusedWithTheirPlace) {
    using namespace std::string_literals;
    EXPECT_EQ(problems_of("a: 1\nb: x\0y\n"s),
              "conf.yaml:2:5: error: a control character, which YAML does not allow\n"
              "    hint:    remove it, or write it in a text in double quotes, as \"\\x07\"\n");
    EXPECT_NE(problems_of("\0a: 1\n"s), "");
    EXPECT_NE(problems_of("a: \"\x1b[31m\"\n"), "");
    EXPECT_EQ(problems_of("a: \"x\ty\\x07\"\r\n"), "");
}

TEST(Yaml, AKeyIsAScalar) {
    EXPECT_NE(problems_of("? [a, b]\n: 1\n").find("a key must be a scalar"), std::string::npos);
}

}  // namespace
}  // namespace flowd::core
