// SPDX-License-Identifier: Apache-2.0
#include "lib/net/sender.hpp"

#include <gtest/gtest.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/net/loopback.hpp"

namespace flowd::net {
namespace {

/// The ICMP error of what was sent.
void await_error(const Sender& sender) {
    pollfd one{sender.socket()->fd(), 0, 0};
    ASSERT_EQ(::poll(&one, 1, 10'000), 1);
}

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

/// What passes the stack of loopback together arrives together at a socket that wants that.
struct Merging {
    Merging() {
        const int on = 1;
        EXPECT_EQ(::setsockopt(receiver.socket().fd(), SOL_UDP, UDP_GRO, &on, sizeof on), 0);
        sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    }
    /// The sizes of what arrived after datagrams of these sizes were sent at once.
    std::vector<std::size_t> arrive(const std::vector<std::size_t>& sizes) {
        std::string expected, received;
        for (const std::size_t size : sizes) {
            const std::string text(size, static_cast<char>('a' + expected.size() % 26));
            EXPECT_TRUE(sender.push(text));
            expected += text;
        }
        EXPECT_TRUE(sender.flush());
        std::vector<std::size_t> arrived;
        for (const std::string& text : receiver.take()) {
            received += text;
            arrived.push_back(text.size());
        }
        EXPECT_EQ(received, expected);
        EXPECT_EQ(sender.counts().sent, sizes.size());
        return arrived;
    }
    Loopback receiver{"::1", 1 << 20};
    Sender sender;
};

TEST(Sender, MergesDatagramsOfOneLengthAndAShorterLastOne) {
    using Sizes = std::vector<std::size_t>;
    Sizes sizes(Sender::least_merged, 100);
    EXPECT_EQ(Merging().arrive(sizes), Sizes{1600});
    sizes.insert(sizes.end(), {90, 90, 95, 0, 80});
    EXPECT_EQ(Merging().arrive(sizes), (Sizes{1690, 90, 95, 0, 80}));
    Sizes pairs;
    for (std::size_t i = 0; i < Sender::least_merged; ++i) pairs.push_back(i % 2 == 0 ? 50 : 60);
    EXPECT_EQ(Merging().arrive(pairs), (Sizes{50, 110, 110, 110, 110, 110, 110, 110, 60}));
}

TEST(Sender, DoesNotMergeAFewOrLongDatagrams) {
    const std::vector<std::size_t> few(Sender::least_merged - 1, 100), longer(Sender::least_merged, 1233);
    EXPECT_EQ(Merging().arrive(few), few);
    EXPECT_EQ(Merging().arrive(longer), longer) << "they might not fit the path's MTU";
    EXPECT_EQ(Merging().arrive(std::vector<std::size_t>(Sender::batch, 1232)), (std::vector<std::size_t>{64064, 14784}))
        << "a message has 65,000 bytes at most";
}

/// Sends these in one flush over a socket without checksums, for which the kernel refuses UDP_SEGMENT.
void expect_sent_without_merging(const std::vector<std::string>& datagrams) {
    ASSERT_GE(datagrams.size(), Sender::least_merged);
    Loopback receiver("127.0.0.1", 1 << 20);
    Sender sender;
    sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    const int on = 1;
    ASSERT_EQ(::setsockopt(sender.socket()->fd(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
    for (const std::string& text : datagrams) EXPECT_TRUE(sender.push(text));
    EXPECT_TRUE(sender.flush());
    EXPECT_EQ(receiver.wait_for(datagrams.size()), datagrams);
    EXPECT_EQ(sender.counts().sent, datagrams.size());
    EXPECT_EQ(sender.counts().refused + sender.counts().failed, 0u);
    EXPECT_FALSE(sender.refused());
}

TEST(Sender, SendsOneByOneWhereTheKernelDoesNotMerge) {
    std::vector<std::string> datagrams;
    for (std::size_t i = 0; i < 3 * Sender::least_merged; ++i) datagrams.push_back(std::to_string(100 + i));
    expect_sent_without_merging(datagrams);
}

TEST(Sender, WhereTheKernelDoesNotMergeTheLastDatagramsAreNoRefusal) {
    std::vector<std::string> datagrams;
    for (std::size_t i = 1; i < 10; ++i) datagrams.emplace_back(i, 'x');  // each goes alone
    for (std::size_t i = 0; i < 11; ++i) datagrams.emplace_back(10, 'x');
    expect_sent_without_merging(datagrams);
}

/// In a network namespace of a thread of its own, whose loopback interface first has room for one datagram at a time.
TEST(Sender, SendsOneByOneAsLongAsThereIsNoRoomForWhatIsMerged) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes a network namespace";
    std::thread([] {
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
        ASSERT_EQ(std::system("ip link set lo up && tc qdisc replace dev lo root bfifo limit 1000"), 0);
        Merging merging;
        const auto send = [&merging] {
            for (std::size_t i = 0; i < Sender::least_merged; ++i) EXPECT_TRUE(merging.sender.push(std::string(100, 'x')));
            EXPECT_TRUE(merging.sender.flush());
            return merging.receiver.take();
        };
        EXPECT_EQ(send().size(), Sender::least_merged);
        EXPECT_EQ(merging.sender.counts().failed, 0u);
        ASSERT_EQ(std::system("tc qdisc del dev lo root"), 0);
        EXPECT_EQ(send().back().size(), 100 * Sender::least_merged);
    }).join();
}

TEST(Sender, MergesOnlyWhatGoesToOnePeer) {
    Loopback one("::1", 1 << 20), other("::1", 1 << 20);
    Sender sender;
    sender.use(Loopback::must(UdpSocket::unconnected(one.endpoint().address)));
    std::vector<std::string> expected;
    for (std::size_t i = 0; i < Sender::least_merged; ++i) {
        expected.push_back("number " + std::to_string(100 + i));
        sender.push(expected.back(), one.endpoint());
        sender.push(expected.back(), other.endpoint());
    }
    EXPECT_TRUE(sender.flush());
    EXPECT_EQ(one.wait_for(expected.size()), expected);
    EXPECT_EQ(other.wait_for(expected.size()), expected);
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
    await_error(sender);
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

TEST(Sender, ARefusalWithinABatchEndsIt) {
    Sender sender;
    sender.use(Loopback::must(UdpSocket::connected(nobody())));
    std::size_t pushed = 0;
    while (!sender.refused() && pushed < 1000) {  // the ICMP error may come later than the first batch
        for (std::size_t i = 1; i < Sender::least_merged; ++i, ++pushed) sender.push("x");
        EXPECT_TRUE(sender.flush());
    }
    EXPECT_TRUE(sender.refused());
    EXPECT_EQ(sender.last_refusal(), ECONNREFUSED);
    EXPECT_EQ(sender.counts().refused, 1u);
    EXPECT_GT(sender.waiting(), 0u);
    EXPECT_EQ(sender.counts().sent + sender.waiting(), pushed);
}

TEST(Sender, ADatagramThatIsTooLongDoesNotHideARefusal) {
    Sender sender;
    sender.use(Loopback::must(UdpSocket::connected(nobody())));
    sender.push("lost");
    EXPECT_TRUE(sender.flush());
    await_error(sender);
    sender.push(std::string(70000, 'x'));
    EXPECT_TRUE(sender.flush());
    EXPECT_TRUE(sender.refused());
    EXPECT_EQ(sender.last_refusal(), ECONNREFUSED);
    EXPECT_EQ(sender.waiting(), 1u) << "it stays queued, as after any refusal";
    Loopback receiver;
    sender.use(Loopback::must(UdpSocket::connected(receiver.endpoint())));
    sender.push("small");
    EXPECT_TRUE(sender.probe());
    EXPECT_EQ(receiver.wait_for(1), std::vector<std::string>{"small"}) << "a probe passes over it";
    EXPECT_EQ(sender.counts().failed, 1u);
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
