// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
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

TEST(FireflyCodec, FitsAnySizeAndReportsOmittedMembers) {
    RandomFireflies fireflies(43);
    Printer printer({.host = "h", .application = "flowd-cpp"});
    Parser parser;
    std::size_t whole = 0, left_out = 0, shortened = 0;
    for (int i = 0; i < 20000; ++i) {
        const Firefly& sent = fireflies.next_with_blocks();
        const Layout layout{fireflies.below(2) == 0, least_max_size + fireflies.below(3000)};
        const auto printed = printer.print(sent, layout);
        ASSERT_FALSE(printed.text.empty());
        ASSERT_LE(printed.text.size(), layout.max_size);
        EXPECT_EQ(printed.text.starts_with("<134>1 "), layout.syslog_header);
        Firefly read;
        ASSERT_EQ(parser.parse(printed.text, read), Refusal::none) << printed.text;

        std::size_t as_they_were = 0, as_shorter = 0, gone = 0;
        for (const Block& block : sent.blocks) {
            const auto found = std::find_if(read.blocks.begin(), read.blocks.end(),
                                            [&](const Block& other) { return other.name == block.name; });
            if (found == read.blocks.end())
                ++gone;
            else
                ++(found->json == block.json ? as_they_were : as_shorter);
        }
        gone += sent.has_usage && !read.has_usage ? 1u : 0u;
        const bool netlink =
            std::any_of(sent.blocks.begin(), sent.blocks.end(), [](auto& b) { return b.name == "netlink"; });
        if (sent.rtt_ms && !netlink && printed.text.find("\"netlink\"") == std::string_view::npos) ++gone;
        EXPECT_EQ(printed.shortened, as_shorter) << printed.text;
        EXPECT_EQ(printed.left_out, gone) << printed.text;
        whole += printed.whole() ? 1 : 0;
        left_out += printed.left_out;
        shortened += printed.shortened;
    }
    EXPECT_TRUE(whole > 1000 && left_out > 1000 && shortened > 1000) << "each case was met";
}

}  // namespace
}  // namespace flowd::firefly
