// SPDX-License-Identifier: Apache-2.0
#include "plugins/namedpipe/line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace flowd::namedpipe {
namespace {

using ::testing::ElementsAre;

/// What comes out after each piece; "(too long)" for what is dropped.
std::vector<std::string> lines_of(LineBuffer& buffer, const std::vector<std::string>& pieces) {
    std::vector<std::string> lines;
    for (const std::string& piece : pieces) {
        const auto space = buffer.space(piece.size() + 3);
        std::memcpy(space.data(), piece.data(), piece.size());
        buffer.filled(piece.size());
        while (const auto cut = buffer.next()) lines.push_back(cut->too_long ? "(too long)" : std::string(cut->text));
    }
    return lines;
}
std::vector<std::string> lines_of(const std::vector<std::string>& pieces) {
    LineBuffer buffer(10);
    return lines_of(buffer, pieces);
}

TEST(LineBuffer, SplitsSeveralLines) {
    EXPECT_THAT(lines_of({"one\ntwo\n\nthree\n"}), ElementsAre("one", "two", "", "three"));
}

TEST(LineBuffer, JoinsPartsOfALine) {
    EXPECT_THAT(lines_of({"o", "ne", "\n", "tw", "o\nth", "ree", "\n"}), ElementsAre("one", "two", "three"));
}

TEST(LineBuffer, KeepsAnUnfinishedLine) {
    LineBuffer buffer(10);
    EXPECT_THAT(lines_of(buffer, {"one\ntw"}), ElementsAre("one"));
    EXPECT_EQ(buffer.unfinished(), "tw");
    buffer.drop_unfinished();
    EXPECT_THAT(lines_of(buffer, {"o\n"}), ElementsAre("o"));
}

TEST(LineBuffer, AcceptsALineOfTheMaximumLengthAndNoLonger) {
    EXPECT_THAT(lines_of({"0123456789\n0123456789a\nnext\n"}), ElementsAre("0123456789", "(too long)", "next"));
    EXPECT_THAT(lines_of({"0123456789", "\n"}), ElementsAre("0123456789"));
}

TEST(LineBuffer, ReportsATooLongLineOnceHoweverItIsSplit) {
    EXPECT_THAT(lines_of({"0123456789a", "bcd", std::string(1000, 'x'), "end of it\nnext\n"}),
                ElementsAre("(too long)", "next"));
}

TEST(LineBuffer, DoesNotGrowWithALineThatNeverEnds) {
    LineBuffer buffer(10);
    for (int i = 0; i < 1000; ++i) {
        const auto space = buffer.space(64);
        std::memset(space.data(), 'x', space.size());
        buffer.filled(space.size());
        while (buffer.next()) {
        }
        EXPECT_EQ(buffer.unfinished(), "");
    }
}

}  // namespace
}  // namespace flowd::namedpipe
