// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/record.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <simdjson.h>

#include <string>

#include "flowd/json.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/provenance.hpp"
#include "tests/unit/firefly/fixtures.hpp"

namespace flowd::kafka {
namespace {

using firefly::fixtures::endpoint;

class RecordTest : public ::testing::Test {
  protected:
    static Event start(const char* source = "2001:db8::1", const char* destination = "2001:db8:1::2") {
        auto event = Event::start(make_key(endpoint(source, 1094), endpoint(destination, 2000), IPPROTO_TCP), {2, 16});
        event->time_ns = event->start_time_ns = 1'771'952'202'251'384'000;
        return event;
    }
    std::optional<Record> write(const Event& event) {
        return writer_.write(EventView(event.raw()), 1'771'952'203'000'000'000);
    }
    std::string text(const Record& record, const char* pointer) {
        simdjson::dom::element document;
        std::string_view value;
        EXPECT_EQ(parser_.parse(record.value).get(document), simdjson::SUCCESS) << record.value;
        EXPECT_EQ(document.at_pointer(pointer).get(value), simdjson::SUCCESS) << record.value;
        return std::string(value);
    }

    RecordWriter writer_{
        {"host", "flowd-cpp vtest", firefly::Verbosity::lean, {source_name("there", "stardust_firefly")}, 20'000}};
    simdjson::dom::parser parser_;
};

TEST_F(RecordTest, HasTheObjectsOfTheFireflyTheMessageAndTheFingerprint) {
    const auto record = write(start());
    ASSERT_TRUE(record);
    EXPECT_EQ(text(*record, "/flow-lifecycle/state"), "start");
    EXPECT_EQ(text(*record, "/flow-id/src-ip"), "2001:db8::1");
    EXPECT_EQ(text(*record, "/flow_fingerprint").size(), 64u);
    firefly::Parser parser;
    firefly::Firefly read;
    EXPECT_EQ(parser.parse(text(*record, "/message"), read), firefly::Refusal::none);
    EXPECT_TRUE(read.member) << "what is printed here is numbered";
}

TEST_F(RecordTest, TheFingerprintIsThatOfTheReferenceCollector) {
    // printf '|[flow-id][dst-ip]|192.0.2.2|[flow-id][dst-port]|2000|[flow-id][protocol]|tcp|[flow-id][src-ip]|192.0.2.1|
    // [flow-id][src-port]|1094|' | openssl dgst -sha256 -hmac 'create flowid'
    Fingerprint fingerprint;
    const auto event = start("192.0.2.1", "192.0.2.2");
    EXPECT_EQ(fingerprint.of(event->key), "94cf1407ad47f97c118afcbf722b33bd35244ac337cded56e2afb621faa605ba");
    EXPECT_EQ(fingerprint.of(event->key), "94cf1407ad47f97c118afcbf722b33bd35244ac337cded56e2afb621faa605ba")
        << "the second one, too";
}

TEST_F(RecordTest, BothDirectionsOfAFlowHaveOneKey) {
    EXPECT_EQ(record_key(start("192.0.2.1", "192.0.2.2")->key), "192.0.2.1|1094|192.0.2.2|2000|tcp");
    auto reversed = start("192.0.2.2", "192.0.2.1");
    std::swap(reversed->key.source_port, reversed->key.destination_port);
    EXPECT_EQ(record_key(reversed->key), "192.0.2.1|1094|192.0.2.2|2000|tcp");
    auto same = start("192.0.2.1", "192.0.2.1");
    EXPECT_EQ(record_key(same->key), "192.0.2.1|1094|192.0.2.1|2000|tcp");
    same->key.protocol = IPPROTO_UDP;
    EXPECT_EQ(record_key(same->key), "192.0.2.1|1094|192.0.2.1|2000|udp");
}

TEST_F(RecordTest, TheMessageIsTheOriginalDatagram) {
    auto event = start();
    event.attach(FLOWD_ATTACHMENT_DATAGRAM, "<134>1 - \"quoted\" {\"x\":1}\n");
    const auto record = write(event);
    ASSERT_TRUE(record);
    EXPECT_EQ(text(*record, "/message"), "<134>1 - \"quoted\" {\"x\":1}\n");
}

TEST_F(RecordTest, TheMessageIsWrittenAsAnyOtherText) {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string message = std::string(R"(a "quoted\text" )") + static_cast<char>(byte) + "\"";
        auto event = start();
        event.attach(FLOWD_ATTACHMENT_DATAGRAM, message);
        const auto record = write(event);
        ASSERT_TRUE(record);
        std::string expected;
        json::Writer(expected).value(std::string_view(message));
        EXPECT_NE(record->value.find(",\"message\":" + expected + ",\"flow_fingerprint\":"), std::string::npos) << byte;
    }
}

TEST_F(RecordTest, ABlockCannotReplaceAMemberOfTheRecord) {
    auto event = start();
    event.attach("flowd.json/message", "\"forged\"");
    event.attach("flowd.json/flow_fingerprint", "\"forged\"");
    event.attach("flowd.json/storage-stats", "{\"a\":1}");
    const auto record = write(event);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->value.find("forged"), std::string::npos) << record->value;
    EXPECT_NE(record->value.find("storage-stats"), std::string::npos);
}

TEST_F(RecordTest, WhatCannotBeARecordIsSkippedForAReason) {
    auto event = start();
    event->key.protocol = IPPROTO_ICMPV6;
    EXPECT_FALSE(write(event));
    EXPECT_EQ(writer_.why(), Skip::protocol);
    event = start();
    event->key.source_port = 0;
    EXPECT_FALSE(write(event));
    EXPECT_EQ(writer_.why(), Skip::port);
    event = start();
    event.attach(FLOWD_ATTACHMENT_DATAGRAM, std::string(30'000, 'x'));
    EXPECT_FALSE(write(event));
    EXPECT_EQ(writer_.why(), Skip::too_large);
}

TEST_F(RecordTest, WhatWasReadFromTheTopicIsNotWrittenToItAgain) {
    firefly::Provenance provenance{{7, 0}, *Address::parse("192.0.2.9"), 0, {}};
    std::string receivers = source_name("there", "stardust_firefly") + "\n";
    provenance.receivers = receivers;
    auto event = start();
    event->flags |= FLOWD_LEARNT_REMOTELY;
    event.attach(std::string(firefly::provenance_attachment), firefly::to_text(provenance), FLOWD_ATTACHMENT_KEEP);
    EXPECT_FALSE(write(event));
    EXPECT_EQ(writer_.why(), Skip::read);
}

}  // namespace
}  // namespace flowd::kafka
