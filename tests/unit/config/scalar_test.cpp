// SPDX-License-Identifier: Apache-2.0
#include "core/config/scalar.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace flowd::core {
namespace {

constexpr std::int64_t second = 1'000'000'000;

TEST(Scalar, BooleansHaveTheSpellingsOfYaml11And12) {
    for (const char* word : {"true", "True", "TRUE", "yes", "on"}) EXPECT_EQ(parse_boolean(word), true) << word;
    for (const char* word : {"false", "No", "off"}) EXPECT_EQ(parse_boolean(word), false) << word;
    for (const char* word : {"", "1", "y", "tru"}) EXPECT_EQ(parse_boolean(word), std::nullopt) << word;
}

TEST(Scalar, IntegersAreDecimalOrHexadecimal) {
    EXPECT_EQ(parse_integer("0").value, 0);
    EXPECT_EQ(parse_integer("-7").value, -7);
    EXPECT_EQ(parse_integer("+7").value, 7);
    EXPECT_EQ(parse_integer("0xBFF").value, 3071);
    EXPECT_EQ(parse_integer("9223372036854775807").value, INT64_MAX);
    EXPECT_EQ(parse_integer("-9223372036854775808").value, INT64_MIN);
}

TEST(Scalar, IntegersThatOthersReadDifferentlyAreRefused) {
    for (const char* text : {"", "-", "010", "1.5", "1e3", "1_000", "0x", "--1", " 1", "1 ", "5200-5210"})
        EXPECT_EQ(parse_integer(text).error, ScalarError::form) << text;
    EXPECT_EQ(parse_integer("9223372036854775808").error, ScalarError::overflow);
    EXPECT_EQ(parse_integer("99999999999999999999999").error, ScalarError::overflow);
    EXPECT_EQ(parse_integer("99999999999999999999999x").error, ScalarError::form);
}

TEST(Scalar, NumbersAreFinite) {
    EXPECT_DOUBLE_EQ(parse_number("2.5e-1").value, 0.25);
    for (const char* text : {"", "nan", "inf", "0x1p3", "1.2.3", "1,5"})
        EXPECT_EQ(parse_number(text).error, ScalarError::form) << text;
    EXPECT_EQ(parse_number("1e999").error, ScalarError::overflow);
    EXPECT_EQ(number_text(0.1), "0.1");
    EXPECT_EQ(number_text(1.0 / 3), "0.3333333333333333");
}

TEST(Scalar, DurationsTakeUnits) {
    EXPECT_EQ(parse_duration("3s", "").value, 3 * second);
    EXPECT_EQ(parse_duration("250ms", "").value, second / 4);
    EXPECT_EQ(parse_duration("250 ms", "").value, second / 4);
    EXPECT_EQ(parse_duration("1h30m", "").value, 5400 * second);
    EXPECT_EQ(parse_duration("1.5min", "").value, 90 * second);
    EXPECT_EQ(parse_duration("2d", "").value, 172'800 * second);
    EXPECT_EQ(parse_duration("7\xc2\xb5s", "").value, 7000);
    EXPECT_EQ(parse_duration("-1s", "").value, -second);
}

TEST(Scalar, ABareNumberIsInTheUnitOfTheOption) {
    EXPECT_EQ(parse_duration("1000", "ms").value, second);
    EXPECT_EQ(parse_duration("1.5", "s").value, second + second / 2);
    EXPECT_EQ(parse_duration("0", "").value, 0);
    EXPECT_EQ(parse_duration("10", "").error, ScalarError::no_unit);
}

TEST(Scalar, MalformedDurationsAreRefused) {
    for (const char* text : {"", "s", "3 parsecs", "3s4", "1.s", ".5s", "1h-3s", "3sec", "1 2"})
        EXPECT_EQ(parse_duration(text, "s").error, ScalarError::form) << text;
    EXPECT_EQ(parse_duration("300000d", "").error, ScalarError::overflow);
    EXPECT_EQ(parse_duration("106751d24h", "").error, ScalarError::overflow);
}

TEST(Scalar, SizesTakeDecimalAndBinaryUnits) {
    EXPECT_EQ(parse_size("4 MiB").value, 4 << 20);
    EXPECT_EQ(parse_size("64KiB").value, 64 << 10);
    EXPECT_EQ(parse_size("5 kB").value, 5000);
    EXPECT_EQ(parse_size("1452").value, 1452);
    for (const char* text : {"", "MiB", "4 M", "-1", "1.5 MiB", "4mib"})
        EXPECT_EQ(parse_size(text).error, ScalarError::form) << text;
    EXPECT_EQ(parse_size("9999999 TiB").error, ScalarError::overflow);
}

TEST(Scalar, IsPrintedInTheLargestExactUnitAndReadsBack) {
    EXPECT_EQ(duration_text(90 * second), "90s");
    EXPECT_EQ(duration_text(24 * 3600 * second), "24h");
    EXPECT_EQ(duration_text(1'500'000), "1500us");
    EXPECT_EQ(duration_text(0), "0s");
    EXPECT_EQ(size_text(64 << 20), "64 MiB");
    EXPECT_EQ(size_text(1452), "1452");
    EXPECT_EQ(size_text(0), "0");
    for (const std::int64_t value : {std::int64_t{1}, second, 61 * second, std::int64_t{123456789}, 7200 * second})
        EXPECT_EQ(parse_duration(duration_text(value), "").value, value);
}

}  // namespace
}  // namespace flowd::core
