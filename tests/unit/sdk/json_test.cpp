// SPDX-License-Identifier: Apache-2.0
#include "flowd/json.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace flowd::json {
namespace {

template <typename T>
std::string text_of(const T& value) {
    std::string out;
    Writer(out).value(value);
    return out;
}

TEST(JsonWriter, SeparatesByCommas) {
    std::string out;
    Writer w(out);
    w.object()
        .member("port", 10514)
        .key("list")
        .array()
        .value("a")
        .value(true)
        .object()
        .end()
        .end()
        .member("none", nullptr);
    w.end();
    EXPECT_EQ(out, R"({"port":10514,"list":["a",true,{}],"none":null})");
}

TEST(JsonWriter, EscapesControlCharactersAndQuotes) {
    EXPECT_EQ(text_of("a\"b\\c\n\r\t\x01"), R"("a\"b\\c\n\r\t\u0001")");
    EXPECT_EQ(text_of(std::string_view("\0", 1)), R"("\u0000")");
}

TEST(JsonWriter, KeepsUtf8AndReplacesInvalidBytes) {
    EXPECT_EQ(text_of("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xac"), "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xac\"");
    for (const char* wrong : {"\xff", "\xc3", "\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"})
        EXPECT_EQ(text_of(wrong).find("\"\xef\xbf\xbd"), 0u) << wrong;
}

TEST(JsonWriter, EscapesWhatChangesHowATerminalShowsTheTextAroundIt) {
    EXPECT_EQ(text_of("\x7f\xc2\x9b\xe2\x80\xae"), R"("\u007f\u009b\u202e")");
}

TEST(JsonWriter, WritesIntegersWhole) {
    EXPECT_EQ(text_of(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
    EXPECT_EQ(text_of(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
}

TEST(JsonWriter, WritesAFloatAsAFloatThatIsReadAsTheSame) {
    EXPECT_EQ(text_of(5.0), "5.0");
    EXPECT_EQ(text_of(-0.25), "-0.25");
    for (const double number : {0.1, 1.0 / 3, 12.345678901234567, 1e300, 2.2250738585072014e-308})
        EXPECT_EQ(std::stod(text_of(number)), number) << text_of(number);
    EXPECT_NE(text_of(1e22).find_first_of(".e"), std::string::npos);
}

TEST(JsonWriter, WritesNullForNanAndInfinities) {
    EXPECT_EQ(text_of(std::numeric_limits<double>::quiet_NaN()), "null");
    EXPECT_EQ(text_of(-std::numeric_limits<double>::infinity()), "null");
}

}  // namespace
}  // namespace flowd::json
