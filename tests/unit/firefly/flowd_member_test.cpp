// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/flowd_member.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "lib/firefly/parser.hpp"
#include "lib/firefly/provenance.hpp"
#include "tests/unit/firefly/fixtures.hpp"

namespace flowd::firefly {
namespace {

/// What a parser reads in a firefly with this member `flowd`.
class ReadMember : public ::testing::Test {
  protected:
    std::optional<FlowdMember> read(const std::string& member) {
        const std::string text = fixtures::with("{\"version\":1", R"({"version":1,"flowd":)" + member);
        EXPECT_EQ(parser_.parse(text, firefly_), Refusal::none) << text;
        EXPECT_TRUE(firefly_.blocks.empty()) << "it is never a block";
        return firefly_.member;
    }
    Parser parser_;
    Firefly firefly_;
};

TEST_F(ReadMember, ReadsTheFormThatStreamsWrite) {
    Stream stream(0xfedcba9876543210u);
    for (std::uint64_t seq = 1; seq <= 3; ++seq) {
        std::string text;
        ASSERT_TRUE(stream.number(text, fixtures::flowd_go_bare, {0xb1, 3}, 4096));
        ASSERT_EQ(parser_.parse(text, firefly_), Refusal::none) << text;
        ASSERT_TRUE(firefly_.member) << text;
        EXPECT_EQ(firefly_.member->boot, 0xfedcba9876543210u);
        EXPECT_LT(firefly_.member->stream, number_limit);
        EXPECT_EQ(firefly_.member->seq, seq);
        EXPECT_EQ(firefly_.member->path, (Path{0xb1, 3}));
    }
}

TEST_F(ReadMember, IgnoresOtherForms) {
    const auto with = [](const char* boot, const char* stream, const char* seq, const char* hops) {
        return std::string(R"({"boot":)") + boot + R"(,"stream":)" + stream + R"(,"seq":)" + seq +
               R"(,"origin":"00000000000000b1","hops":)" + hops + "}";
    };
    constexpr const char* id = R"("00000000000000b1")";
    EXPECT_TRUE(read(with(id, "0", "1", "0")));
    EXPECT_TRUE(read(with(id, "9007199254740991", "9007199254740991", "4294967295")));
    for (const std::string& odd :
         {std::string("null"), std::string("[]"), std::string("{}"), std::string("\"flowd\""), with("1", "0", "1", "0"),
          with(R"("b1")", "0", "1", "0"), with(R"("00000000000000B1")", "0", "1", "0"),
          with(R"("00000000000000bx")", "0", "1", "0"), with(id, "-1", "1", "0"), with(id, "1.5", "1", "0"),
          with(id, "0", "0", "0"), with(id, "0", "9007199254740992", "0"), with(id, "0", "1", "4294967296"),
          with(id, "0", "18446744073709551615", "0"), with(id, "0", "1", R"(0,"hops":0)"), with(id, "0", "1", "\"0\"")})
        EXPECT_FALSE(read(odd)) << odd;
    EXPECT_TRUE(read(with(id, "0", "1", R"(0,"later":"version")"))) << "what a later version adds does no harm";
}

TEST_F(ReadMember, IgnoresDuplicates) {
    const std::string one = R"({"boot":"00000000000000b1","stream":1,"seq":1,"origin":"00000000000000b1","hops":0})";
    EXPECT_FALSE(read(one + ",\"flowd\":" + one));
}

TEST(Stream, UsesNoNumberForAFireflyWithoutRoomForIt) {
    Stream stream(1);
    std::string text;
    EXPECT_FALSE(stream.number(text, fixtures::flowd_go_bare, {}, fixtures::flowd_go_bare.size() + 20));
    EXPECT_EQ(text, fixtures::flowd_go_bare);
    text.clear();
    EXPECT_TRUE(stream.number(text, fixtures::flowd_go_bare, {}, 4096));
    EXPECT_NE(text.find(R"("seq":1,)"), std::string::npos) << "the receiver would see a gap";
}

TEST(ThisBoot, IsConstantWithinAProcess) {
    const std::uint64_t boot = this_boot();
    const std::vector<char> memory(std::size_t{64} << 20, 'x');  // its size is in /proc/self/stat, too
    EXPECT_EQ(this_boot(), boot) << memory.size();
}

TEST(ThisBoot, DiffersBetweenProcesses) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const std::uint64_t boot = this_boot();
        ::_exit(::write(ends[1], &boot, sizeof boot) == sizeof boot ? 0 : 1);
    }
    std::uint64_t boot = 0;
    ASSERT_EQ(::read(ends[0], &boot, sizeof boot), static_cast<ssize_t>(sizeof boot));
    ::waitpid(child, nullptr, 0);
    EXPECT_NE(boot, this_boot());
}

TEST(Provenance, IsReadAsItWasWritten) {
    const Provenance written{{0xfedcba9876543210u, 3}, *Address::parse("192.0.2.1"), 10514, "a:1\n[::1]:2\n"};
    const std::string text = to_text(written);
    const auto read = parse_provenance(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(read->path, written.path);
    EXPECT_EQ(read->peer, written.peer);
    EXPECT_EQ(read->port, written.port);
    EXPECT_EQ(read->receivers, written.receivers);
    for (const char* odd : {"", "b1", "b1 0 ::1 1", "x 0 ::1 1\n", "b1 -1 ::1 1\n", "b1 0 nobody 1\n", "b1 0 ::1 65536\n"})
        EXPECT_FALSE(parse_provenance(odd)) << odd;
}

}  // namespace
}  // namespace flowd::firefly
