// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/record_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "flowd/json.hpp"

namespace flowd::kafka {
namespace {

class RecordReaderTest : public ::testing::Test {
  protected:
    static std::string objects(const std::string& port, const std::string& state = "start") {
        return R"({"version":1,"flow-lifecycle":{"state":")" + state +
               R"(","start-time":"2026-11-23T10:00:00+00:00","current-time":"2026-11-23T10:00:00+00:00","end-time":"2026-11-23T10:00:00+00:00"},)"
               R"("context":{"experiment-id":2,"activity-id":16,"application":"test"},"flow-id":{"afi":"ipv4","src-ip":"192.0.2.1",)"
               R"("dst-ip":"198.51.100.2","protocol":"tcp","src-port":)" +
               port + R"(,"dst-port":1094}})";
    }
    static std::string datagram(const std::string& port, const std::string& state = "start") {
        return "<134>1 2026-11-23T10:00:00Z host app - firefly-json - " + objects(port, state);
    }
    static std::string record(const std::string& record_objects, const std::string& message, const std::string& more = "") {
        std::string text = record_objects.substr(0, record_objects.size() - 1) + R"(,"message":)";
        json::Writer(text).value(message);
        return text + more + "}";
    }
    RecordReader::Read read(const std::string& value) { return reader_.read(value.data(), value.size()); }

    RecordReader reader_{20'000};
};

TEST_F(RecordReaderTest, TheMessageIsTheFirefly) {
    const std::string text = datagram("1000");
    const auto one = read(record(objects("1000"), text));
    EXPECT_EQ(one.refusal, "");
    EXPECT_EQ(one.datagram, text);
    EXPECT_EQ(one.firefly.key.source_port, 1000);
    EXPECT_FALSE(one.differs);
    EXPECT_FALSE(one.redelivered);
}

TEST_F(RecordReaderTest, TheMessageWinsOverTheObjects) {
    for (const std::string& other : {objects("2000"), objects("1000", "end")}) {
        const auto one = read(record(other, datagram("1000")));
        EXPECT_EQ(one.refusal, "");
        EXPECT_EQ(one.firefly.key.source_port, 1000);
        EXPECT_EQ(one.firefly.state, firefly::State::start);
        EXPECT_TRUE(one.differs);
    }
}

TEST_F(RecordReaderTest, WithoutAMessageTheRecordIsTheFirefly) {
    const std::string text = objects("1000");
    const auto one = read(text);
    EXPECT_EQ(one.refusal, "");
    EXPECT_EQ(one.datagram, text);
    EXPECT_EQ(one.firefly.key.source_port, 1000);
}

TEST_F(RecordReaderTest, TheFlagIsRead) {
    EXPECT_TRUE(read(record(objects("1"), datagram("1"), R"(,"redelivered":true)")).redelivered);
    EXPECT_FALSE(read(record(objects("1"), datagram("1"), R"(,"redelivered":"yes")")).redelivered);
}

TEST_F(RecordReaderTest, WhatIsNotAFireflyIsRefusedForAReason) {
    EXPECT_EQ(reader_.read(nullptr, 0).refusal, "null_value");
    EXPECT_EQ(read(std::string(20'001, ' ')).refusal, "too_large");
    for (const char* text : {"", "not JSON", "[1]", "\"text\"", "{", "5"})
        EXPECT_EQ(read(text).refusal, "not_json") << text;
    for (const std::string& text :
         {std::string("{}"), record(objects("1"), "nothing"), record("{}", ""), record("{}", "{}")})
        EXPECT_NE(read(text).refusal, "") << text;
    EXPECT_EQ(read(datagram("1")).refusal, "not_json") << "a bare datagram is not a record";
    EXPECT_EQ(read(objects("1")).refusal, "") << "it reads on";
}

TEST_F(RecordReaderTest, AMessageThatIsNotTextIsNoMessage) {
    const std::string with = objects("1000");
    const auto one = read(with.substr(0, with.size() - 1) + R"(,"message":5})");
    EXPECT_EQ(one.refusal, "");
    EXPECT_EQ(one.firefly.key.source_port, 1000);
}

}  // namespace
}  // namespace flowd::kafka
