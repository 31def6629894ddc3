// SPDX-License-Identifier: Apache-2.0
// Values and keys of a commented YAML text are replaced and removed; comments stay.
#include "core/setup/yaml_path.hpp"

#include <gtest/gtest.h>

namespace flowd::core {
namespace {

constexpr const char* text = R"(# top
plugins:
  one:
    list: [a, b] # why
    name: x
    groups:
      - address: here
        port: 1
backends:
  first:
    key: value

    other: 1
  # about the second
  second: {}
)";

TEST(YamlPath, AValueIsReplacedAndItsCommentStays) {
    EXPECT_NE(with_value(text, "plugins.one.list", "[c]").find("    list: [c] # why\n    name: x\n"), std::string::npos);
    EXPECT_NE(with_value(text, "plugins.one.name", "\"y\"").find("    name: \"y\"\n    groups:"), std::string::npos);
    EXPECT_NE(with_value(text, "plugins.one.groups[0].port", "2").find("        port: 2\nbackends"), std::string::npos);
    EXPECT_NE(with_value(text, "plugins.one.groups[0].address", "there").find("- address: there\n"), std::string::npos);
}

TEST(YamlPath, AKeyIsRemovedWithWhatIsBelowIt) {
    EXPECT_EQ(without_key(text, "backends.first").substr(std::string(text).find("backends")),
              "backends:\n  # about the second\n  second: {}\n");
    EXPECT_EQ(without_key(text, "backends.second").substr(std::string(text).find("backends")),
              "backends:\n  first:\n    key: value\n\n    other: 1\n  # about the second\n");
}

TEST(YamlPath, WhatIsNotThereChangesNothing) {
    for (const char* const path : {"nothing", "plugins.two", "plugins.one.groups[1].port", "plugins.one.name.deeper"}) {
        EXPECT_EQ(with_value(text, path, "z"), text) << path;
        EXPECT_EQ(without_key(text, path), text) << path;
    }
}

}  // namespace
}  // namespace flowd::core
