// SPDX-License-Identifier: Apache-2.0
#include "flowd/nearest.hpp"

#include <gtest/gtest.h>

namespace flowd::core {
namespace {

TEST(Nearest, SwappedLettersAreOneMistake) {
    EXPECT_EQ(edit_distance("firefly", "fierfly"), 1u);
    EXPECT_EQ(edit_distance("bindPort", "bindPrt"), 1u);
    EXPECT_EQ(edit_distance("abc", ""), 3u);
    EXPECT_EQ(edit_distance("", ""), 0u);
    EXPECT_EQ(edit_distance("BINDPORT", "bindPort"), 0u);
}

TEST(Nearest, OffersTheClosestWord) {
    const std::vector<std::string> words{"bindAddress", "bindPort", "bufferSize"};
    EXPECT_EQ(nearest_word("bindPrt", words), "bindPort");
    EXPECT_EQ(nearest_word("bindAdress", words), "bindAddress");
}

TEST(Nearest, OffersANameWhosePartWasWritten) {
    EXPECT_EQ(nearest_word("address", {"bindAddress", "bindPort"}), "bindAddress");
}

TEST(Nearest, OffersNothingIfNothingIsSimilar) {
    EXPECT_EQ(nearest_word("colour", {"bindAddress", "bindPort"}), "");
    EXPECT_EQ(nearest_word("", {"a"}), "");
    EXPECT_EQ(nearest_word(std::string(1000, 'x'), {std::string(1000, 'x')}), "");
}

TEST(Nearest, JoinsNamesToASentence) {
    EXPECT_EQ(join_words({}), "");
    EXPECT_EQ(join_words({"lean"}), "lean");
    EXPECT_EQ(join_words({"lean", "compatible", "full"}), "lean, compatible or full");
}

}  // namespace
}  // namespace flowd::core
