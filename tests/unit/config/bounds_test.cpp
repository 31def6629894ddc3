// SPDX-License-Identifier: Apache-2.0
// Bounds of options: of one side, of 0, and fractional ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/config/render.hpp"
#include "fakes.hpp"

namespace flowd::core::test {
namespace {

using ::testing::HasSubstr;

flowd_option bounded_row(std::uint32_t type, std::uint32_t bounds, double minimum, double maximum) {
    flowd_option option{};
    option.size = sizeof option;
    option.type = type;
    option.name = "value";
    option.doc = "A value.";
    option.flags = bounds;
    option.minimum = minimum;
    option.maximum = maximum;
    return option;
}

/// What loading `value: TEXT` says; empty: nothing.
std::string said_of(const flowd_option& option, const std::string& text) {
    World world;
    const std::vector<flowd_option> options{option};
    world.modules.add(FLOWD_PLUGIN, "api", options);
    return world.parse("plugins:\n  api:\n    value: " + text + "\n").problems.to_string();
}

TEST(Bounds, OfOneSideLeaveTheOtherOpen) {
    const flowd_option least = bounded_row(FLOWD_OPTION_INTEGER, FLOWD_OPTION_MINIMUM, 5, 0);
    EXPECT_THAT(said_of(least, "4"), HasSubstr("an integer, 5 or more"));
    EXPECT_EQ(said_of(least, "5").find("error"), std::string::npos);
    EXPECT_EQ(said_of(least, "9000000000000000000").find("error"), std::string::npos);
    const flowd_option most = bounded_row(FLOWD_OPTION_INTEGER, FLOWD_OPTION_MAXIMUM, 0, 5);
    EXPECT_THAT(said_of(most, "6"), HasSubstr("an integer, 5 or less"));
    EXPECT_EQ(said_of(most, "-9000000000000000000").find("error"), std::string::npos);
}

TEST(Bounds, MayBeZero) {
    const flowd_option most = bounded_row(FLOWD_OPTION_INTEGER, FLOWD_OPTION_MAXIMUM, 0, 0);
    EXPECT_THAT(said_of(most, "1"), HasSubstr("an integer, 0 or less"));
    EXPECT_EQ(said_of(most, "0").find("error"), std::string::npos);
    const flowd_option none = bounded_row(FLOWD_OPTION_INTEGER, 0, 0, 0);
    EXPECT_EQ(said_of(none, "1").find("error"), std::string::npos);
}

TEST(Bounds, MayBeFractional) {
    const flowd_option share = bounded_row(FLOWD_OPTION_NUMBER, FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM, 0.25, 0.75);
    EXPECT_THAT(said_of(share, "0.76"), HasSubstr("a number, 0.25 to 0.75"));
    EXPECT_EQ(said_of(share, "0.75").find("error"), std::string::npos);
}

TEST(Bounds, OfDurationsAndSizesAreWrittenInTheirUnits) {
    EXPECT_THAT(said_of(bounded_row(FLOWD_OPTION_DURATION, FLOWD_OPTION_MINIMUM, 5e9, 0), "1s"), HasSubstr("5s or more"));
    EXPECT_THAT(said_of(bounded_row(FLOWD_OPTION_SIZE, FLOWD_OPTION_MAXIMUM, 0, 4 << 20), "5 MiB"),
                HasSubstr("4 MiB or less"));
}

TEST(Bounds, AreInTheSchemaAndTheReferenceEachWithItsFlag) {
    const flowd_option share = bounded_row(FLOWD_OPTION_NUMBER, FLOWD_OPTION_MAXIMUM, 0, 0.5);
    const auto table = read_options(&share, 1, sizeof share);
    ASSERT_TRUE(table) << table.error().message;
    const ComponentOptions component{FLOWD_PLUGIN, "api", {}, "An API.", *table};
    EXPECT_THAT(options_schema(component), HasSubstr(R"("type":"number","maximum":0.5})"));
    EXPECT_THAT(reference_page(component), HasSubstr("a number, 0.5 or less"));
    std::string text;
    json::Writer writer(text);
    writer.array();
    write_options(writer, *table);
    writer.end();
    EXPECT_THAT(text, HasSubstr(R"("allowed":"a number, 0.5 or less")"));
}

}  // namespace
}  // namespace flowd::core::test
