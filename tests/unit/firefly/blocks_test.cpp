// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/blocks.hpp"

#include <gtest/gtest.h>

#include <string>

namespace flowd::firefly {
namespace {

class NetlinkBlock : public ::testing::Test {
  protected:
    std::string json(std::string_view text) {
        const auto block = reader_.normalise("netlink", text);
        rtt_ = block ? block->rtt_ms : std::nullopt;
        return block ? block->json : "";
    }
    BlockReader reader_;
    std::optional<double> rtt_;
};

TEST_F(NetlinkBlock, FromXrootdIsInMillisecondsAlready) {
    EXPECT_EQ(json(R"({"rtt": 0.993})"), R"({"rtt":0.993})");
    EXPECT_EQ(rtt_, 0.993);
}

TEST_F(NetlinkBlock, WithAnIntegerRttGetsAFloat) {
    EXPECT_EQ(json(R"({"state":"established","rtt":102,"lost":0})"), R"({"rtt":102.0,"state":"established","lost":0})");
}

TEST_F(NetlinkBlock, FromFlowdGoTakesMicrosecondsToMilliseconds) {
    EXPECT_EQ(json(R"({"cong":{"algorithm":"cubic"},"tcpInfo":{"rtt":102345}})"),
              R"({"rtt":102.345,"cong":{"algorithm":"cubic"},"tcpInfo":{"rtt":102345}})");
    EXPECT_EQ(json(R"({"tcpInfo":null})"), R"({"tcpInfo":null})");
    EXPECT_FALSE(rtt_);
    EXPECT_EQ(json(R"({"tcpInfo":{"rtt":0}})"), R"({"tcpInfo":{"rtt":0}})") << "not measured yet";
    EXPECT_FALSE(rtt_);
}

TEST_F(NetlinkBlock, FromFlowdBecomesAnObject) {
    EXPECT_EQ(json(R"(["established", {"src": "::1", "tcp_info": {"rtt": 0.163}}])"),
              R"({"rtt":0.163,"state":"established","src":"::1","tcp_info":{"rtt":0.163}})");
    EXPECT_EQ(json(R"(["established", {}])"), R"({"state":"established"})");
}

TEST_F(NetlinkBlock, OfAnyOtherFormIsRefused) {
    for (const char* text : {"1", "null", "[]", R"(["established"])", R"([1,{}])", R"("x")", "{", ""})
        EXPECT_EQ(json(text), "") << text;
    EXPECT_EQ(json(R"({"rtt":"fast"})"), "{}") << "a string would fix the collector's type";
    EXPECT_EQ(json(R"({"rtt":-1})"), "{}");
}

TEST(Block, OfAnyNameIsCheckedAndCompacted) {
    BlockReader reader;
    const auto block = reader.normalise("storage-stats", R"({ "a" : [ 1 , 2.50 ] })");
    ASSERT_TRUE(block);
    EXPECT_EQ(block->json, R"({"a":[1,2.5]})");
    EXPECT_FALSE(reader.normalise("storage-stats", R"({"a":})"));
    EXPECT_FALSE(reader.normalise("storage-stats", "1 2"));
}

TEST(Block, CannotReplaceRequiredMembers) {
    BlockReader reader;
    for (const char* name : {"version", "flow-lifecycle", "flow-id", "usage", "context", "", "a\"b", "a b"})
        EXPECT_FALSE(reader.normalise(name, "{}")) << name;
    EXPECT_FALSE(reader.normalise(std::string(65, 'x'), "{}"));
}

}  // namespace
}  // namespace flowd::firefly
