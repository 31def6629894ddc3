// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/config/fakes.hpp"

namespace flowd::core::test {
namespace {

std::string refusal(const std::vector<flowd_option>& rows) {
    const auto table = read_options(rows.data(), rows.size(), sizeof(flowd_option));
    return table ? "" : table.error().message;
}

const char* const words[] = {"lean", "full", nullptr};

TEST(OptionTable, IsReadByTheSizeOfItsRowsAndItsStride) {
    // A module of a later minor: longer rows, whose new members are zero because it does not need them.
    struct Longer {
        flowd_option known;
        std::uint64_t added;
    };
    Longer rows[2] = {{row(FLOWD_OPTION_INTEGER, "first", "1"), 0}, {row(FLOWD_OPTION_STRING, "second"), 0}};
    rows[0].known.size = rows[1].known.size = sizeof(Longer);
    auto table = read_options(&rows[0].known, 2, sizeof(Longer));
    ASSERT_TRUE(table);
    EXPECT_EQ(table->at(1).name, "second");

    rows[1].added = 1;
    table = read_options(&rows[0].known, 2, sizeof(Longer));
    ASSERT_FALSE(table);
    EXPECT_EQ(table.error().code, FLOWD_UNSUPPORTED);
    EXPECT_EQ(table.error().message, "option 1: it asks for something this core does not know");
}

TEST(OptionTable, RefusesContradictoryRows) {
    EXPECT_EQ(refusal({row(99, "x")}), "option x: type 99 is unknown to this core");
    EXPECT_EQ(refusal({row(FLOWD_OPTION_STRING, nullptr)}), "option 0: it has no name of letters and digits");
    EXPECT_EQ(refusal({row(FLOWD_OPTION_STRING, "a b")}), "option 0: it has no name of letters and digits");
    EXPECT_EQ(refusal({row(FLOWD_OPTION_STRING, "x"), row(FLOWD_OPTION_STRING, "x")}), "option x: its name is taken");
    EXPECT_EQ(refusal({row(FLOWD_OPTION_STRING, "lean"), aliases(row(FLOWD_OPTION_STRING, "x"), words)}),
              "option x: its alias 'lean' is taken");
    EXPECT_EQ(refusal({row(FLOWD_OPTION_CHOICE, "x")}), "option x: a CHOICE needs choices");
    EXPECT_EQ(refusal({row(FLOWD_OPTION_LIST, "x")}), "option x: a LIST or MAP needs one row: the type of its items");
    EXPECT_EQ(refusal({range(row(FLOWD_OPTION_INTEGER, "x"), 2, 1)}), "option x: its minimum is above its maximum");
    EXPECT_EQ(refusal({unit(row(FLOWD_OPTION_DURATION, "x"), "weeks")}), "option x: the unit 'weeks' is unknown");
    EXPECT_EQ(refusal({required(row(FLOWD_OPTION_INTEGER, "x", "1"))}), "option x: it is required and has a default");
}

TEST(OptionTable, ATableWithoutEndIsRefused) {
    flowd_option self = row(FLOWD_OPTION_GROUP, "self");
    self.fields = &self;
    self.field_count = 1;
    self.field_stride = sizeof self;
    const auto table = read_options(&self, 1, sizeof self);
    ASSERT_FALSE(table);
    EXPECT_NE(table.error().message.find("nested too deeply"), std::string::npos);
}

TEST(OptionTable, AMissingTableOrAWrongStrideIsRefused) {
    EXPECT_FALSE(read_options(nullptr, 1, sizeof(flowd_option)));
    const flowd_option one = row(FLOWD_OPTION_STRING, "x");
    EXPECT_FALSE(read_options(&one, 1, 4));
    EXPECT_TRUE(read_options(nullptr, 0, 0));
}

TEST(OptionTable, DefaultsAreReadLikeTheFile) {
    EXPECT_EQ(refusal({row(FLOWD_OPTION_INTEGER, "x", "many")}),
              "option x: its default 'many': not an integer, allowed: an integer");
    EXPECT_EQ(refusal({range(row(FLOWD_OPTION_INTEGER, "x", "70000"), 1, 65535)}),
              "option x: its default '70000': out of range, allowed: an integer, 1 to 65535");
    EXPECT_EQ(refusal({row(FLOWD_OPTION_DURATION, "x", "3s"), row(FLOWD_OPTION_PATH, "p", "")}), "");
    EXPECT_NE(refusal({choices(row(FLOWD_OPTION_CHOICE, "x", "fat"), words)}), "");
}

TEST(OptionTable, KeysOfTheCoreAreReserved) {
    EXPECT_EQ(refusal({row(FLOWD_OPTION_STRING, "module")}), "option module: that key belongs to the core");
    EXPECT_EQ(refusal({row(FLOWD_OPTION_STRING, "required")}), "option required: that key belongs to the core");
}

TEST(OptionTable, DescribesAllowedValues) {
    const std::vector<flowd_option> rows{
        range(row(FLOWD_OPTION_INTEGER, "port"), 1, 65535),
        range(row(FLOWD_OPTION_INTEGER, "count"), 1, INT64_MAX),
        choices(row(FLOWD_OPTION_CHOICE, "mode"), words),
        unit(range(row(FLOWD_OPTION_DURATION, "wait"), 1'000'000, 3'600'000'000'000), "ms"),
    };
    const auto table = read_options(rows.data(), rows.size(), sizeof(flowd_option)).value();
    EXPECT_EQ(allowed_text(table[0]), "an integer, 1 to 65535");
    EXPECT_EQ(allowed_text(table[1]), "an integer, 1 or more");
    EXPECT_EQ(allowed_text(table[2]), "lean or full");
    EXPECT_EQ(allowed_text(table[3]), "a duration such as 3s (a bare number: ms), 1ms to 1h");
}

}  // namespace
}  // namespace flowd::core::test
