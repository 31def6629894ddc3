// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/event.hpp"

#include <gtest/gtest.h>

#include <string>

#include "flowd/address.hpp"
#include "tests/unit/firefly/fixtures.hpp"

namespace flowd::firefly {
namespace {

using fixtures::endpoint;

flowd_event event(std::uint32_t kind) {
    flowd_event made{};
    made.size = sizeof made;
    made.kind = kind;
    made.key = make_key(endpoint("2001:db8::1", 1), endpoint("2001:db8::2", 2), IPPROTO_TCP);
    return made;
}

TEST(FireflyEvent, OfAnEndHasTheFlowsEndTime) {
    Firefly firefly;
    firefly.state = State::end;
    firefly.current_time_ns = 30;
    EXPECT_EQ(to_event(firefly).end_time_ns, 30) << "the sender said no better";
    firefly.end_time_ns = 20;
    firefly.start_time_ns = 10;
    const auto made = to_event(firefly);
    EXPECT_EQ(made.kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
    EXPECT_EQ(made.time_ns, 20);
    EXPECT_EQ(made.start_time_ns, 10);
    EXPECT_EQ(made.flags, static_cast<std::uint32_t>(FLOWD_LEARNT_REMOTELY));
}

TEST(FireflyEvent, SentMeansFromSourceToDestinationOnBothSides) {
    Firefly firefly;
    firefly.has_usage = true;
    firefly.sent = 5;
    firefly.received = 7;
    const auto made = to_event(firefly);
    EXPECT_EQ(made.usage.bytes_sent, 5u);
    EXPECT_EQ(made.usage.bytes_received, 7u);
    EXPECT_TRUE(made.usage.known & FLOWD_USAGE_BYTES);
    const auto back = from_event(made, 1);
    EXPECT_EQ(back.sent, 5u);
    EXPECT_EQ(back.received, 7u);
    EXPECT_TRUE(back.has_usage);
}

TEST(FireflyEvent, HasUsageWhenBytesWereMeasured) {
    auto made = event(FLOWD_EVENT_END);
    EXPECT_FALSE(from_event(made, 1).has_usage);
    made.usage.known = FLOWD_USAGE_PACKETS;
    EXPECT_FALSE(from_event(made, 1).has_usage);
    made.usage.known = FLOWD_USAGE_PACKETS | FLOWD_USAGE_BYTES;
    EXPECT_TRUE(from_event(made, 1).has_usage);
}

TEST(FireflyEvent, GetsItsTimesFromTheFlow) {
    auto made = event(FLOWD_EVENT_START);
    made.time_ns = 5;
    EXPECT_EQ(from_event(made, 9).start_time_ns, 5);
    EXPECT_EQ(from_event(made, 9).end_time_ns, 0);
    EXPECT_EQ(from_event(made, 9).current_time_ns, 9);
    made = event(FLOWD_EVENT_END);
    made.start_time_ns = 3;
    EXPECT_EQ(from_event(made, 9).end_time_ns, 9);
    EXPECT_EQ(from_event(made, 9).start_time_ns, 3);
}

TEST(FireflyEvent, IsPrintableOnlyIfTheSchemaAllowsIt) {
    EXPECT_EQ(printable(event(FLOWD_EVENT_START)), Printable::yes);
    EXPECT_EQ(printable(event(FLOWD_EVENT_CATCH_ALL)), Printable::kind);
    auto made = event(FLOWD_EVENT_START);
    made.key.protocol = IPPROTO_ICMPV6;
    EXPECT_EQ(printable(made), Printable::protocol);
    made = event(FLOWD_EVENT_START);
    made.key.destination_port = 0;
    EXPECT_EQ(printable(made), Printable::port);
    made.key = make_key(endpoint("::", 1), endpoint("2001:db8::2", 2), IPPROTO_UDP);
    EXPECT_EQ(printable(made), Printable::address);
    made.key = make_key(endpoint("192.0.2.1", 1), endpoint("2001:db8::2", 2), IPPROTO_UDP);
    EXPECT_EQ(printable(made), Printable::address);
}

}  // namespace
}  // namespace flowd::firefly
