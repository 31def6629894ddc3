// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/flow_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "flowd/testing/fake_host.hpp"

namespace flowd::api {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string own = R"({"state":"start","protocol":"tcp","source":{"address":"2001:db8::1","port":2345},)"
                        R"("destination":{"address":"2001:db8::2","port":1094},"experiment":2,"activity":16})";
const std::string flowd_go =
    R"({"State":2,"Protocol":0,"Family":10,"Src":"[::1]:2345","Dst":"[::1]:5777","Experiment":1,"Activity":2})";
const std::string readme =
    R"({"State":0,"Protocol":0,"Src":{"IP":"::1","Port":2345},"Dst":{"IP":"::1","Port":5777},"Experiment":65535,)"
    R"("Activity":65535,"StartTs":"2024-11-07T12:22:05.571768742+01:00","EndTs":"0001-01-01T00:00:00Z","NetLink":""})";
const std::string firefly =
    R"({"version":1,"flow-lifecycle":{"state":"end","start-time":"2026-01-01T00:00:00Z","end-time":"2026-01-01T00:00:09Z",)"
    R"("current-time":"2026-01-01T00:00:09Z"},"context":{"experiment-id":2,"activity-id":16,"application":"x"},)"
    R"("flow-id":{"afi":"ipv4","src-ip":"192.0.2.1","dst-ip":"192.0.2.2","protocol":"udp","src-port":1,"dst-port":2},)"
    R"("usage":{"received":3,"sent":4},"netlink":{"rtt":1.5}})";

/// The text with one part replaced.
std::string with(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

class FlowReaderTest : public ::testing::Test {
  protected:
    FlowReaderTest() {
        fake_.add_experiment(2, "atlas");
        fake_.add_activity(2, 16, "Data Consolidation");
    }
    Event one(const std::string& body) {
        auto read = reader_.read(body);
        if (!read) throw std::runtime_error(read.error().message);
        EXPECT_EQ(read->size(), 1u);
        return std::move(read->front());
    }
    std::string refusal(const std::string& body) {
        auto read = reader_.read(body);
        return read ? "accepted" : read.error().message;
    }

    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw()).value());
    FlowReader reader_{host_->registry(), 100};
};

TEST_F(FlowReaderTest, ReadsTheNativeForm) {
    const Event event = one(own);
    EXPECT_EQ(event->kind, static_cast<std::uint32_t>(FLOWD_EVENT_START));
    EXPECT_EQ(event->key.protocol, IPPROTO_TCP);
    EXPECT_EQ(source_of(event->key).to_string(), "[2001:db8::1]:2345");
    EXPECT_EQ(destination_of(event->key).to_string(), "[2001:db8::2]:1094");
    EXPECT_TRUE(same_tag(event->tag, {2, 16}));
    EXPECT_EQ(event->flags, 0u);
    EXPECT_EQ(event->start_time_ns, 0) << "the core fills it";
}

TEST_F(FlowReaderTest, ReadsOptionalMembersOfTheNativeForm) {
    const Event event = one(with(
        with(own, "start", "end"), "16}",
        R"(16,"time":"2026-01-01T00:00:10Z","startTime":"2026-01-01T00:00:00Z","endTime":"2026-01-01T00:00:09.5+00:00",)"
        R"("usage":{"bytesSent":1,"bytesReceived":2,"packetsSent":3,"packetsReceived":4},"application":"gridftp"})"));
    EXPECT_EQ(event->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
    EXPECT_EQ(event->end_time_ns - event->start_time_ns, 9'500'000'000);
    EXPECT_EQ(event->time_ns - event->start_time_ns, 10'000'000'000);
    EXPECT_EQ(event->flags, 0u);
    EXPECT_EQ(event->usage.known, static_cast<std::uint32_t>(FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS));
    EXPECT_EQ(event->usage.bytes_sent, 1u);
    EXPECT_EQ(event->usage.packets_received, 4u);
    EXPECT_EQ(to_view(event.raw().application), "gridftp");
}

TEST_F(FlowReaderTest, KnowsTheNamesOfTheRegistryInAnyOrder) {
    const std::string named = with(with(own, "\"experiment\":2", R"("activity":"Data Consolidation")"), "\"activity\":16",
                                   R"("experiment":"atlas")");
    EXPECT_TRUE(same_tag(one(named)->tag, {2, 16}));
    EXPECT_THAT(refusal(with(own, "2,\"activity", "\"nobody\",\"activity")),
                StartsWith("experiment: is not an experiment"));
    EXPECT_THAT(refusal(with(own, "16}", "\"nothing\"}")), StartsWith("activity: is not an activity of experiment 2"));
}

TEST_F(FlowReaderTest, ReadsFlowdGosForm) {
    const Event event = one(flowd_go);
    EXPECT_EQ(event->kind, static_cast<std::uint32_t>(FLOWD_EVENT_START));
    EXPECT_EQ(source_of(event->key).to_string(), "[::1]:2345");
    EXPECT_EQ(destination_of(event->key).to_string(), "[::1]:5777");
    EXPECT_TRUE(same_tag(event->tag, {1, 2}));
    EXPECT_EQ(one(with(flowd_go, "\"State\":2", "\"State\":3"))->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
    EXPECT_EQ(one(with(flowd_go, "\"State\":2", "\"State\":4"))->kind, static_cast<std::uint32_t>(FLOWD_EVENT_ONGOING));
    EXPECT_EQ(one(with(flowd_go, "\"Protocol\":0", "\"Protocol\":1"))->key.protocol, IPPROTO_UDP);
}

TEST_F(FlowReaderTest, ReadsFlowdGosFormAsGoWould) {
    const Event v4 = one(R"({"state":2,"PROTOCOL":0,"family":2,"src":"192.0.2.1:1","dst":"192.0.2.2:2","Unknown":[{}]})");
    EXPECT_EQ(source_of(v4->key).to_string(), "192.0.2.1:1");
    EXPECT_TRUE(same_tag(v4->tag, {0, 0}));
    const Event mapped = one(with(with(flowd_go, "[::1]:2345", "[::ffff:192.0.2.1]:1"), "[::1]:5777", "192.0.2.2:2"));
    EXPECT_TRUE(source_of(mapped->key).address.is_v4());
}

TEST_F(FlowReaderTest, ReadsTheFormOfFlowdGosReadme) {
    const Event event = one(readme);
    EXPECT_EQ(event->kind, static_cast<std::uint32_t>(FLOWD_EVENT_START));
    EXPECT_EQ(source_of(event->key).to_string(), "[::1]:2345");
    EXPECT_EQ(event->start_time_ns, 1'730'978'525'571'768'742);
    EXPECT_EQ(event->end_time_ns, 0);
    EXPECT_EQ(one(with(readme, "\"State\":0", "\"State\":1"))->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
}

TEST_F(FlowReaderTest, ReadsFireflies) {
    const Event event = one(firefly);
    EXPECT_EQ(event->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
    EXPECT_EQ(event->flags, static_cast<std::uint32_t>(FLOWD_LEARNT_REMOTELY));
    EXPECT_EQ(event->usage.bytes_sent, 4u);
    const flowd_event raw = event.raw();
    ASSERT_EQ(raw.attachment_count, 2u);
    EXPECT_EQ(to_view(raw.attachments[0].id), "flowd.datagram/1");
    EXPECT_EQ(to_view(raw.attachments[0].bytes), firefly);
    EXPECT_EQ(to_view(raw.attachments[1].id), "flowd.json/netlink");
}

TEST_F(FlowReaderTest, ReadsAListOfAnyForm) {
    const auto events = reader_.read("[" + own + "," + flowd_go + "," + firefly + "," + readme + "]");
    ASSERT_TRUE(events) << events.error().message;
    ASSERT_EQ(events->size(), 4u);
    EXPECT_EQ((*events)[2]->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
}

TEST_F(FlowReaderTest, AcceptsAListCompletelyOrNotAtAll) {
    EXPECT_EQ(refusal("[" + own + "," + with(own, "1094", "0") + "]"),
              "flow 1: destination.port: is not a number from 1 to 65535");
    EXPECT_EQ(refusal("[" + own + ",7]"), "flow 1: is not an object");
    EXPECT_EQ(refusal("[[" + own + "]]"), "flow 0: is not an object");
    EXPECT_EQ(refusal("[]"), "the list of flows is empty");
    std::string many = "[" + own;
    for (int i = 0; i < 100; ++i) many += "," + own;
    EXPECT_EQ(refusal(many + "]"), "the list has more than 100 flows");
}

TEST_F(FlowReaderTest, ReadsALongBodyAndAShortOneAfterIt) {
    EXPECT_EQ(refusal(std::string(200'000, ' ') + own), "accepted");
    EXPECT_EQ(refusal(own), "accepted");
}

struct Wrong {
    std::string body;
    const char* says;
};
class WrongBody : public FlowReaderTest, public ::testing::WithParamInterface<Wrong> {};

TEST_P(WrongBody, IsRefusedWithAMessage) {
    EXPECT_THAT(refusal(GetParam().body), HasSubstr(GetParam().says)) << GetParam().body;
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, WrongBody,
    ::testing::Values(Wrong{"", "not JSON"}, Wrong{"start tcp ::1 1 ::2 2 1 2", "not JSON"},
                      Wrong{own.substr(0, 50), "not JSON"}, Wrong{own + "x", "not JSON"}, Wrong{own + own, "not JSON"},
                      Wrong{with(own, "start", "st\xffrt"), "not JSON"}, Wrong{with(own, "start", "\\ud800"), "not JSON"},
                      Wrong{std::string(2000, '['), "not JSON"}, Wrong{"7", "is not an object"},
                      Wrong{"null", "is not an object"}, Wrong{"{}", "is not a flow"}, Wrong{R"({"a":1})", "is not a flow"},
                      Wrong{with(own, "start", "begin"), "state: is none of start, ongoing, end"},
                      Wrong{with(own, "\"start\"", "2"), "state: is not a string"},
                      Wrong{with(own, "tcp", "icmp"), "protocol: is none of tcp, udp"},
                      Wrong{with(own, "2001:db8::1", "localhost"), "source.address: is not an IPv4 or IPv6 address"},
                      Wrong{with(own, "2001:db8::2", "::"), "destination.address: is the unspecified address"},
                      Wrong{with(own, "2345", "65536"), "source.port: is not a number"},
                      Wrong{with(own, "2345", "-1"), "source.port: is not a number"},
                      Wrong{with(own, "2345", "1.5"), "source.port: is not a number"},
                      Wrong{with(own, "2345", "\"1\""), "source.port: is not a number"},
                      Wrong{with(own, ",\"port\":2345", ""), "source.port: is missing"},
                      Wrong{with(own, "2345", "2345,\"zone\":1"), "source.zone: is unknown"},
                      Wrong{with(own, "\"state\":\"start\",", ""), "state: is missing"},
                      Wrong{with(own, "\"state\"", "\"State\""), "State: is unknown"},
                      Wrong{with(own, "\"state\":\"start\"", R"("state":"start","state":"end")"), "state: occurs twice"},
                      Wrong{with(own, "\"experiment\":2", "\"experiment\":4294967296"), "experiment: is not a number"},
                      Wrong{with(own, "\"experiment\":2", "\"experiment\":null"), "experiment: is not a number"},
                      Wrong{with(own, "2001:db8::1", "192.0.2.1"), "one end is IPv4"},
                      Wrong{with(with(own, "2001:db8::2", "2001:db8::1"), "1094", "2345"), "both ends are the same"},
                      Wrong{with(own, "16}", R"(16,"startTime":"yesterday"})"), "startTime: is not a time"},
                      Wrong{with(own, "16}", R"(16,"usage":{"bytesSent":-1,"bytesReceived":0}})"),
                            "usage.bytesSent: is not a number"},
                      Wrong{with(own, "16}", R"(16,"usage":{"bytesSent":1}})"), "usage.bytesReceived: is missing"},
                      Wrong{with(own, "16}", R"(16,"application":")" + std::string(257, 'x') + "\"}"),
                            "application: has more than 256 bytes"},
                      Wrong{with(flowd_go, "\"State\":2", "\"State\":5"), "State: is none of 2, 3, 4"},
                      Wrong{with(flowd_go, "\"State\":2", "\"State\":\"start\""), "State: is none of"},
                      Wrong{with(flowd_go, "\"Protocol\":0", "\"Protocol\":6"), "Protocol: is none of 0, 1"},
                      Wrong{with(flowd_go, "\"Family\":10", "\"Family\":2"), "Family: is IPv4"},
                      Wrong{with(flowd_go, "[::1]:2345", "::1:2345"), "Src: is not written as ADDRESS:PORT"},
                      Wrong{with(flowd_go, "[::1]:2345", ""), "Src: is not written as ADDRESS:PORT"},
                      Wrong{with(flowd_go, "[::1]:2345", ":2345"), "Src: is not an IPv4 or IPv6 address"},
                      Wrong{with(flowd_go, "[::1]:2345", "[::1]:0"), "Src: has no port"},
                      Wrong{with(flowd_go, "[::1]:2345", "[::1]:99999"), "Src: has no port"},
                      Wrong{with(flowd_go, "\"[::1]:2345\"", "7"), "Src: is not an object"},
                      Wrong{with(readme, "\"IP\":\"::1\",", ""), "Src.IP: is missing"},
                      Wrong{with(firefly, "\"src-port\":1", "\"src-port\":0"), "the firefly is refused: port_zero"},
                      Wrong{with(firefly, "\"end\"", "\"paused\""), "the firefly is refused: bad_state"}));

}  // namespace
}  // namespace flowd::api
