// SPDX-License-Identifier: Apache-2.0
#include "flowd/number.hpp"

#include <gtest/gtest.h>

#include "flowd/protocol.hpp"

namespace flowd {
namespace {

TEST(WholeNumber, IsAllOfTheText) {
    EXPECT_EQ(whole_number<std::uint32_t>("4294967295"), 4294967295u);
    EXPECT_EQ(whole_number<int>("-7"), -7);
    EXPECT_EQ(whole_number<std::uint16_t>("0a", 16), 10);
    EXPECT_EQ(whole_number<unsigned>("755", 8), 0755u);
    for (const char* text : {"", " 1", "1 ", "+1", "-1", "1x", "0x1", "1.0", "4294967296"})
        EXPECT_EQ(whole_number<std::uint32_t>(text), std::nullopt) << text;
}

TEST(ProtocolName, IsReadBack) {
    for (const auto& [name, number] : protocol_names) {
        EXPECT_EQ(protocol_name(number), name);
        EXPECT_EQ(parse_protocol(name), number);
    }
    EXPECT_EQ(protocol_name(47), "47");
    EXPECT_EQ(parse_protocol("47"), 47);
    for (const char* text : {"", "TCP", "gre", "256", "-1"}) EXPECT_EQ(parse_protocol(text), std::nullopt) << text;
}

}  // namespace
}  // namespace flowd
