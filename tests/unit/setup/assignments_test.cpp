// SPDX-License-Identifier: Apache-2.0
// flowd.cfg: a file of Python assignments, of which only literals are read.
#include <gtest/gtest.h>

#include "core/setup/migration.hpp"

namespace flowd::core {
namespace {

std::string text_of(const YamlNode& root, std::string_view key) {
    const YamlNode::Entry* const entry = root.find(key);
    return entry == nullptr ? "(nothing)" : entry->value.text;
}

TEST(Assignments, HaveTextsNumbersTruthValuesAndLists) {
    const auto root = read_assignments(
        "# flowd\nPLUGIN='netlink'\nBACKEND = \"udp_firefly,prometheus\" # "
        "two\r\n\nNETLINK_EXPERIMENT=16\nIP_DISCOVERY_ENABLED = True\n"
        "NETLINK_INTERNAL_NETWORKS=('192.0.2.0/24',\n   '2001:db8::/32', # ours\n)\nIPERF_FLOW_ID = [(2, 9), (3, "
        "4)]\nNOTHING = None",
        "flowd.cfg");
    ASSERT_TRUE(root) << root.error().message;
    EXPECT_EQ(text_of(*root, "PLUGIN"), "netlink");
    EXPECT_EQ(text_of(*root, "BACKEND"), "udp_firefly,prometheus");
    EXPECT_EQ(text_of(*root, "NETLINK_EXPERIMENT"), "16");
    EXPECT_EQ(text_of(*root, "IP_DISCOVERY_ENABLED"), "true");
    const auto& networks = root->find("NETLINK_INTERNAL_NETWORKS")->value;
    ASSERT_EQ(networks.items.size(), 2u);
    EXPECT_EQ(networks.items[1].text, "2001:db8::/32");
    const auto& pairs = root->find("IPERF_FLOW_ID")->value;
    ASSERT_EQ(pairs.items.size(), 2u);
    EXPECT_EQ(pairs.items[1].items[0].text, "3");
    EXPECT_EQ(root->find("NOTHING")->value.kind, YamlNode::Kind::null);
}

TEST(Assignments, ParenthesesAroundOneTextAreNoList) {
    const auto root = read_assignments("A=('192.0.2.0/24')\nB=('192.0.2.0/24',)\n", "flowd.cfg");
    ASSERT_TRUE(root);
    EXPECT_EQ(text_of(*root, "A"), "192.0.2.0/24");
    EXPECT_EQ(root->find("B")->value.items.size(), 1u);
}

TEST(Assignments, TheLastOfTwoCounts) {
    const auto root = read_assignments("A=1\nA=2\n", "flowd.cfg");
    ASSERT_TRUE(root);
    EXPECT_EQ(text_of(*root, "A"), "2");
}

TEST(Assignments, WhatIsNotALiteralIsRefusedWithItsLine) {
    for (const char* const text : {"A=1\nB=os.environ['X']\n", "A=1\nB='open\n", "A=1\nB=(1, \n", "A=1\nimport os\n",
                                   "A=1\nB\n", "A=1\nB=1 2\n", "A=1\nB=[[[[[[[[[[[[1]]]]]]]]]]]]\n"}) {
        const auto root = read_assignments(text, "flowd.cfg");
        ASSERT_FALSE(root) << text;
        EXPECT_EQ(root.error().message.rfind("flowd.cfg:", 0), 0u) << root.error().message;
        EXPECT_FALSE(root.error().hint.empty());
    }
}

TEST(Assignments, ControlCharactersAreNotPlainText) {
    using namespace std::string_literals;
    EXPECT_FALSE(read_assignments("A='x\0y'\n"s, "flowd.cfg"));
    EXPECT_FALSE(read_assignments("A='x\x1b[2J'\n", "flowd.cfg"));
    EXPECT_TRUE(read_assignments("A='x\ty'\n", "flowd.cfg"));
}

}  // namespace
}  // namespace flowd::core
