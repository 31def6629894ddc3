// SPDX-License-Identifier: Apache-2.0
#include "lib/net/own_receivers.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/net/loopback.hpp"

namespace flowd::net {
namespace {

Endpoint at(const char* address, const Loopback& receiver) {
    return {Address::parse(address).value(), receiver.endpoint().port};
}

TEST(OwnReceivers, AreFoundWithoutBeingTold) {
    const Loopback receiver("::1");
    OwnReceivers own;
    EXPECT_TRUE(own.includes(at("::1", receiver)));
    EXPECT_FALSE(own.includes(at("127.0.0.1", receiver))) << "it is bound to one address";
    EXPECT_FALSE(own.includes(at("2001:db8::1", receiver)));
    EXPECT_FALSE(own.includes({Address::parse("::1").value(), 9}));
}

TEST(OwnReceivers, BoundToEverythingAreAtEveryAddressOfThisHost) {
    const Loopback receiver("::");
    OwnReceivers own;
    EXPECT_TRUE(own.includes(at("::1", receiver)));
    EXPECT_TRUE(own.includes(at("127.0.0.5", receiver)));
    for (const Address& address : own_addresses()) EXPECT_TRUE(own.includes({address, receiver.endpoint().port}));
    EXPECT_FALSE(own.includes(at("2001:db8::1", receiver)));
}

TEST(OwnReceivers, OfIpv4DoNotHideIpv6) {
    const Loopback receiver("0.0.0.0");
    OwnReceivers own;
    EXPECT_TRUE(own.includes(at("127.0.0.1", receiver)));
    EXPECT_FALSE(own.includes(at("::1", receiver)));
}

TEST(OwnReceivers, AreLookedForAgainAfterAWhile) {
    OwnReceivers own;
    const auto now = OwnReceivers::Clock::now();
    Endpoint endpoint;
    {
        const Loopback first;
        endpoint = first.endpoint();
        EXPECT_TRUE(own.includes(endpoint, now));
    }
    EXPECT_TRUE(own.includes(endpoint, now)) << "remembered";
    EXPECT_FALSE(own.includes(endpoint, now + OwnReceivers::age + std::chrono::seconds(1)));
}

TEST(OwnReceivers, AreNotTheSocketsThatOnlySend) {
    const Loopback receiver;
    const auto connected = UdpSocket::connected(receiver.endpoint());
    ASSERT_TRUE(connected);
    const auto endpoints = own_udp_endpoints();
    EXPECT_EQ(std::count(endpoints.begin(), endpoints.end(), Loopback::must(connected->local())), 0);
    EXPECT_EQ(std::count(endpoints.begin(), endpoints.end(), receiver.endpoint()), 1);
}

}  // namespace
}  // namespace flowd::net
