// SPDX-License-Identifier: Apache-2.0
#include "lib/net/sender.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/unit/net/loopback.hpp"

namespace flowd::net {
namespace {

TEST(Sender, SendsInOrderInBatches) {
    Loopback receiver("::1", 1 << 20);
    Sender sender;
    sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    std::vector<std::string> expected;
    for (int i = 0; i < 300; ++i) {
        expected.push_back("datagram " + std::to_string(i));
        EXPECT_TRUE(sender.push(expected.back()));
        if (i % 70 == 0) {
            EXPECT_TRUE(sender.flush());
        }
    }
    EXPECT_TRUE(sender.flush());
    EXPECT_EQ(receiver.wait_for(300), expected);
    EXPECT_EQ(sender.counts().sent, 300u);
    EXPECT_EQ(sender.waiting(), 0u);
}

TEST(Sender, KeepsABoundedNumberWhileItHasNoSocket) {
    Sender sender(100);
    for (int i = 0; i < 103; ++i) sender.push(std::to_string(i));
    EXPECT_EQ(sender.waiting(), 100u);
    EXPECT_EQ(sender.counts().dropped, 3u);

    Loopback receiver;
    sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    EXPECT_TRUE(sender.flush());
    const auto& received = receiver.wait_for(100);
    ASSERT_EQ(received.size(), 100u);
    EXPECT_EQ(received.front(), "0");
    EXPECT_EQ(received.back(), "99");
}

TEST(Sender, SendsToManyPeersWithOneSocket) {
    Loopback one, other;
    Sender sender;
    sender.use(Loopback::must(UdpSocket::unconnected(one.endpoint().address)));
    sender.push("to one", one.endpoint());
    sender.push("to other", other.endpoint());
    EXPECT_TRUE(sender.flush());
    EXPECT_EQ(one.wait_for(1), std::vector<std::string>{"to one"});
    EXPECT_EQ(other.wait_for(1), std::vector<std::string>{"to other"});
}

TEST(Sender, CountsThatNobodyListens) {
    Endpoint gone;
    {
        const Loopback receiver;
        gone = receiver.endpoint();
    }
    Sender sender;
    sender.use(Loopback::must(UdpSocket::connected(gone)));
    for (int i = 0; i < 10; ++i) {
        sender.push("x");
        sender.flush();
    }
    EXPECT_GT(sender.counts().failed, 0u);
    EXPECT_EQ(sender.waiting(), 0u);
    EXPECT_EQ(sender.take_failure(), ECONNREFUSED);
    EXPECT_EQ(sender.take_failure(), 0);
    EXPECT_FALSE(sender.last_error().empty());
}

TEST(Sender, GoesOnBehindADatagramTheKernelRefuses) {
    Loopback receiver;
    Sender sender;
    sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    sender.push(std::string(70000, 'x'));
    sender.push("small");
    EXPECT_TRUE(sender.flush());
    EXPECT_EQ(receiver.wait_for(1), std::vector<std::string>{"small"});
    EXPECT_EQ(sender.counts().failed, 1u);
}

TEST(Sender, GivesUpWhatWaitsWhenTold) {
    Sender sender;
    sender.push("x");
    sender.discard();
    EXPECT_EQ(sender.waiting(), 0u);
    EXPECT_EQ(sender.counts().dropped, 1u);
}

}  // namespace
}  // namespace flowd::net
