// SPDX-License-Identifier: Apache-2.0
#include "lib/net/sender.hpp"

#include <gtest/gtest.h>

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

Endpoint nobody() {
    const Loopback receiver;
    return receiver.endpoint();
}

TEST(Sender, QueuesDatagramsForAPeerThatRefusesThem) {
    Sender sender(100);
    sender.use(Loopback::must(UdpSocket::connected(nobody())));
    sender.push("lost");
    EXPECT_TRUE(sender.flush());
    EXPECT_FALSE(sender.refused()) << "the kernel tells with the next one";
    for (int i = 0; i < 200; ++i) sender.push("x");
    EXPECT_TRUE(sender.flush());
    EXPECT_TRUE(sender.refused());
    EXPECT_EQ(sender.counts().sent, 1u);
    EXPECT_EQ(sender.counts().refused, 1u);
    EXPECT_EQ(sender.counts().failed, 0u) << "the one that was refused had been sent";
    EXPECT_EQ(sender.waiting(), 100u);
    EXPECT_EQ(sender.counts().dropped, 100u);
    EXPECT_EQ(sender.last_error(), "Connection refused");
}

TEST(Sender, ProbesWithOneDatagramAndContinuesWhenReleased) {
    Loopback receiver;
    Sender sender;
    sender.use(Loopback::must(UdpSocket::connected(nobody())));
    for (int i = 0; i < 4; ++i) {
        sender.push(std::to_string(i));
        sender.flush();
    }
    ASSERT_TRUE(sender.refused());
    sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    EXPECT_TRUE(sender.probe());
    EXPECT_TRUE(sender.flush());
    EXPECT_EQ(receiver.wait_for(1), std::vector<std::string>{"1"}) << "one, and it is the oldest that was not tried";
    sender.release();
    EXPECT_TRUE(sender.flush());
    EXPECT_EQ(receiver.wait_for(3).size(), 3u);
    EXPECT_FALSE(sender.probe()) << "nothing waits";
}

TEST(Sender, WithManyPeersIgnoresRefusals) {
    Loopback receiver("127.0.0.1");
    Sender sender;
    sender.use(Loopback::must(UdpSocket::unconnected(receiver.endpoint().address)));
    const Endpoint gone{Address::parse("127.0.0.2").value(), receiver.endpoint().port};
    for (int i = 0; i < 5; ++i) {
        sender.push("x", gone);
        sender.push("y", receiver.endpoint());
        EXPECT_TRUE(sender.flush());
    }
    EXPECT_EQ(receiver.wait_for(5).size(), 5u);
    EXPECT_FALSE(sender.refused());
}

TEST(Sender, ContinuesAfterADatagramThatTheKernelRefuses) {
    Loopback receiver;
    Sender sender;
    sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    sender.push(std::string(70000, 'x'));
    sender.push("small");
    EXPECT_TRUE(sender.flush());
    EXPECT_EQ(receiver.wait_for(1), std::vector<std::string>{"small"});
    EXPECT_EQ(sender.counts().failed, 1u) << "tried twice, since the first error could have been about an earlier one";
}

TEST(Sender, CountsEachDatagramOnce) {
    Loopback receiver;
    Sender sender(50);
    std::uint64_t offered = 0;
    const auto adds_up = [&] {
        const SenderCounts& counts = sender.counts();
        return counts.sent + counts.failed + counts.dropped + sender.waiting() == offered;
    };
    const auto offer = [&](int count, std::size_t size = 10) {
        for (int i = 0; i < count; ++i) {
            sender.push(std::string(size, 'x'));
            ++offered;
            sender.flush();
        }
    };
    offer(60);
    EXPECT_TRUE(adds_up()) << "without a socket";
    sender.use(Loopback::must(UdpSocket::connected(nobody())));
    offer(100);
    EXPECT_TRUE(adds_up()) << "where nobody listens";
    for (int i = 0; i < 5; ++i) {
        sender.probe();
        EXPECT_TRUE(adds_up()) << "and probes are refused";
    }
    sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    sender.release();
    offer(3, 70000);
    offer(100);
    EXPECT_TRUE(adds_up()) << "where some are too long";
    sender.push("x");
    ++offered;
    sender.discard();
    EXPECT_TRUE(adds_up()) << "when given up";
    EXPECT_GT(sender.counts().refused, 0u);
}

TEST(Sender, DiscardsQueuedDatagramsOnRequest) {
    Sender sender;
    sender.push("x");
    sender.discard();
    EXPECT_EQ(sender.waiting(), 0u);
    EXPECT_EQ(sender.counts().dropped, 1u);
}

}  // namespace
}  // namespace flowd::net
