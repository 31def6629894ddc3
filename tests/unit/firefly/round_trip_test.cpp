// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "lib/firefly/blocks.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/printer.hpp"
#include "tests/unit/firefly/random_firefly.hpp"

namespace flowd::firefly {
namespace {

TEST(FireflyCodec, ReadsBackWhatItPrints) {
    RandomFireflies fireflies(42);
    Printer printer({.host = "h", .application = "flowd-cpp"});
    Parser parser;
    BlockReader blocks;
    for (int i = 0; i < 20000; ++i) {
        const Firefly& sent = fireflies.next();
        const auto printed = printer.print(sent);
        ASSERT_LE(printed.text.size(), default_max_size);
        Firefly read;
        ASSERT_EQ(parser.parse(printed.text, read), Refusal::none) << printed.text;
        EXPECT_EQ(read.state, sent.state);
        EXPECT_EQ(std::memcmp(&read.key, &sent.key, sizeof read.key), 0) << printed.text;
        EXPECT_EQ(read.tag.experiment, sent.tag.experiment);
        EXPECT_EQ(read.tag.activity, sent.tag.activity);
        EXPECT_EQ(read.start_time_ns, sent.start_time_ns);
        EXPECT_EQ(read.end_time_ns, sent.end_time_ns);
        EXPECT_EQ(read.current_time_ns, sent.current_time_ns);
        EXPECT_EQ(read.has_usage, sent.has_usage);
        EXPECT_EQ(read.sent, sent.sent);
        EXPECT_EQ(read.received, sent.received);
        EXPECT_EQ(read.application, sent.application);
        ASSERT_EQ(read.blocks.size(), sent.rtt_ms ? 1u : 0u);
        if (sent.rtt_ms) {
            const auto netlink = blocks.normalise(read.blocks[0].name, read.blocks[0].json);
            ASSERT_TRUE(netlink);
            EXPECT_EQ(netlink->rtt_ms, sent.rtt_ms);
            EXPECT_NE(netlink->json.find('.'), std::string::npos) << "always a float";
        }
    }
}

}  // namespace
}  // namespace flowd::firefly
