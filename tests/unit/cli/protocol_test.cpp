// SPDX-License-Identifier: Apache-2.0
#include "core/control/protocol.hpp"

#include <gtest/gtest.h>

namespace flowd::core::control {
namespace {

using namespace std::string_literals;
using State = FrameReader::State;

TEST(ControlProtocol, CarriesArgumentsWithEmptyOnesInBetween) {
    const Arguments arguments{"marker", "", "observe", ""};
    const std::string frame = encode_request(arguments);
    FrameReader reader(max_request);
    ASSERT_EQ(reader.add(frame), State::complete);
    EXPECT_EQ(decode_request(reader.body()), arguments);
}

TEST(ControlProtocol, IsLittleEndianAndSeparatedByNul) {
    EXPECT_EQ(encode_request({"a", "bc"}), "\x04\0\0\0a\0bc"s);
    EXPECT_EQ(encode_reply({ExitCode::busy, "{}"}), "\x06\0\0\0\x06\0\0\0{}"s);
}

TEST(ControlProtocol, ReadsAFrameInPiecesOfOneByte) {
    const std::string frame = encode_reply({ExitCode::absent, R"({"error":"x"})"});
    FrameReader reader(max_reply);
    for (std::size_t i = 0; i + 1 < frame.size(); ++i) ASSERT_EQ(reader.add(frame.substr(i, 1)), State::more);
    ASSERT_EQ(reader.add(frame.substr(frame.size() - 1)), State::complete);
    const auto reply = decode_reply(reader.body());
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->code, ExitCode::absent);
    EXPECT_EQ(reply->json, R"({"error":"x"})");
}

TEST(ControlProtocol, RefusesALengthAboveTheLimitBeforeReadingTheBody) {
    EXPECT_EQ(FrameReader(max_request).add("\x01\0\x01\0"s), State::refused);
    EXPECT_EQ(FrameReader(max_request).add("\xff\xff\xff\xff"s), State::refused);
}

TEST(ControlProtocol, RefusesEmptyFramesAndBytesAfterAFramePermanently) {
    EXPECT_EQ(FrameReader(max_request).add("\0\0\0\0"s), State::refused);
    FrameReader reader(max_request);
    EXPECT_EQ(reader.add("\x01\0\0\0ab"s), State::refused);
    EXPECT_EQ(reader.add(""), State::refused);
}

TEST(ControlProtocol, RefusesRequestsWithoutACommandOrWithTooManyArguments) {
    EXPECT_FALSE(decode_request("").has_value());
    EXPECT_FALSE(decode_request("\0status"s).has_value());
    EXPECT_TRUE(decode_request(std::string("a").append(max_arguments - 1, '\0')).has_value());
    EXPECT_FALSE(decode_request(std::string("a").append(max_arguments, '\0')).has_value());
}

TEST(ControlProtocol, RefusesARepliesBodyWithoutAnExitCode) {
    EXPECT_FALSE(decode_reply("abc").has_value());
}

TEST(ControlProtocol, ReportsATooLargeAnswer) {
    const std::string frame = encode_reply({ExitCode::ok, std::string(max_reply, '1')});
    ASSERT_LT(frame.size(), 1000u);
    EXPECT_EQ(decode_reply(std::string_view(frame).substr(4))->code, ExitCode::failure);
}

TEST(ControlProtocol, WritesFailuresAsJson) {
    EXPECT_EQ(Reply::failure(ExitCode::usage, "no \"x\"", "y").json, R"({"error":"no \"x\"","hint":"y"})");
    EXPECT_EQ(Reply::failure(ExitCode::usage, "no").json, R"({"error":"no"})");
}

}  // namespace
}  // namespace flowd::core::control
