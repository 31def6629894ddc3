// SPDX-License-Identifier: Apache-2.0
#include "lib/net/udp_socket.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>
#include <string>
#include <vector>

#include "tests/unit/net/loopback.hpp"

namespace flowd::net {
namespace {

void send(const Endpoint& to, const std::string& payload) {
    const auto socket = UdpSocket::connected(to);
    ASSERT_TRUE(socket);
    ASSERT_EQ(::send(socket->fd(), payload.data(), payload.size(), 0), static_cast<ssize_t>(payload.size()));
}

TEST(UdpSocket, APortInUseIsReportedWithItsOwner) {
    const Loopback other;
    const auto socket = UdpSocket::bound(other.endpoint());
    ASSERT_FALSE(socket);
    EXPECT_EQ(socket.error().code, FLOWD_BUSY);
    EXPECT_NE(socket.error().message.find(other.endpoint().to_string()), std::string::npos) << socket.error().message;
    EXPECT_EQ(socket.error().hint, "another instance of this daemon has it: choose another port");
}

TEST(UdpSocket, ALinkLocalAddressNeedsAZone) {
    const auto socket = UdpSocket::bound({Address::parse("fe80::1").value(), 0});
    ASSERT_FALSE(socket);
    EXPECT_NE(socket.error().hint.find("needs an interface"), std::string::npos) << socket.error().hint;
}

TEST(UdpSocket, AnAddressOfAnotherHostIsNotFound) {
    const auto socket = UdpSocket::bound({Address::parse("2001:db8::dead").value(), 0});
    ASSERT_FALSE(socket);
    EXPECT_EQ(socket.error().code, FLOWD_NOT_FOUND);
}

TEST(UdpSocket, BoundToTheUnspecifiedAddressReceivesBothFamilies) {
    Loopback receiver("::");
    send({Address::parse("127.0.0.1").value(), receiver.endpoint().port}, "four");
    send({Address::parse("::1").value(), receiver.endpoint().port}, "six");
    EXPECT_EQ(receiver.wait_for(2), (std::vector<std::string>{"four", "six"}));
}

TEST(UdpSocket, APortIsSharedOnlyOnceItsOwnerSaysSo) {
    const Loopback first;
    EXPECT_FALSE(first.socket().shares_port());
    EXPECT_EQ(UdpSocket::bound(first.endpoint(), {0, true}).error().code, FLOWD_BUSY);
    ASSERT_TRUE(first.socket().share_port());
    EXPECT_TRUE(first.socket().shares_port());
    EXPECT_TRUE(UdpSocket::bound(first.endpoint(), {0, true}));
    EXPECT_EQ(UdpSocket::bound(first.endpoint()).error().code, FLOWD_BUSY) << "who does not share is refused";
}

TEST(UdpSocket, ASenderIsSteeredToOneSocketAndManyToAll) {
    for (const char* at : {"127.0.0.1", "::"}) {
        constexpr std::uint32_t count = 4;
        std::vector<UdpSocket> sockets;
        const Endpoint wanted{Address::parse(at).value(), 0};
        sockets.push_back(Loopback::must(UdpSocket::bound(wanted)));
        ASSERT_TRUE(sockets[0].share_port());
        const std::uint16_t port = Loopback::must(sockets[0].local()).port;
        for (std::uint32_t i = 1; i < count; ++i)
            sockets.push_back(Loopback::must(UdpSocket::bound({wanted.address, port}, {0, true})));
        ASSERT_TRUE(sockets[0].steer_by_sender(count));

        constexpr int hosts = 64, each = 5;  // each datagram from another port
        for (int i = 0; i < hosts * each; ++i) {
            sockaddr_storage from{}, to{};
            const Endpoint source{Address::parse("127.0.2." + std::to_string(1 + i % hosts)).value(), 0};
            const UniqueFd sender(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
            const socklen_t length = source.to(from);
            ASSERT_EQ(::bind(sender.get(), reinterpret_cast<const sockaddr*>(&from), length), 0);
            (void)Endpoint{Address::parse("127.0.0.1").value(), port}.to(to);
            ASSERT_EQ(::sendto(sender.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), length), 1);
        }
        std::map<Address, int> heard;
        for (const UdpSocket& socket : sockets) {
            std::map<Address, int> here;
            ReceiveBatch batch(64, 16);
            for (auto some = Loopback::must(batch.receive(socket.fd())); !some.empty();
                 some = Loopback::must(batch.receive(socket.fd())))
                for (const Datagram& datagram : some) ++here[datagram.peer.address];
            EXPECT_GT(here.size(), hosts / count / 2) << "at " << at;
            for (const auto& [host, datagrams] : here) {
                EXPECT_EQ(datagrams, each) << host.to_string() << " at " << at;
                ++heard[host];
            }
        }
        EXPECT_EQ(heard.size(), static_cast<std::size_t>(hosts));
    }
}

TEST(UdpSocket, OnlySharedPortsAreSteered) {
    const Loopback alone;
    EXPECT_FALSE(alone.socket().steer_by_sender(2));
}

TEST(UdpSocket, IsAdoptedOnlyIfItIsOne) {
    const Loopback receiver;
    const auto adopted = UdpSocket::adopted(receiver.duplicate());
    ASSERT_TRUE(adopted);
    EXPECT_EQ(Loopback::must(adopted->local()), receiver.endpoint());
    EXPECT_FALSE(UdpSocket::adopted(UniqueFd(::socket(AF_INET6, SOCK_STREAM, 0))));
    EXPECT_FALSE(UdpSocket::adopted(UniqueFd(::socket(AF_UNIX, SOCK_DGRAM, 0))));
    EXPECT_FALSE(UdpSocket::adopted(UniqueFd()));
}

TEST(UdpSocket, CountsWhatTheKernelDropped) {
    Loopback receiver("::1", 4096);
    EXPECT_EQ(receiver.socket().drops(), 0u);
    const std::string payload(1000, 'x');
    for (int i = 0; i < 100; ++i) send(receiver.endpoint(), payload);
    const auto received = receiver.take().size();
    EXPECT_LT(received, 100u);
    EXPECT_EQ(received + receiver.socket().drops(), 100u) << "nothing vanishes uncounted";
}

TEST(UdpSocket, KnowsThePathMtu) {
    const Loopback receiver;
    const auto socket = UdpSocket::connected(receiver.endpoint());
    ASSERT_TRUE(socket);
    EXPECT_GE(socket->path_payload(), 1232u) << "loopback has a large MTU";
    EXPECT_EQ(receiver.socket().path_payload(), 0u) << "not connected";
}

TEST(ReceiveBatch, HasPeersAndTruncation) {
    const Loopback receiver;
    const auto socket = UdpSocket::connected(receiver.endpoint());
    ASSERT_TRUE(socket);
    for (const std::string& payload : {std::string(10, 'a'), std::string(20, 'b'), std::string()})
        ASSERT_EQ(::send(socket->fd(), payload.data(), payload.size(), 0), static_cast<ssize_t>(payload.size()));
    ReceiveBatch batch(8, 16);
    const auto datagrams = batch.receive(receiver.socket().fd());
    ASSERT_TRUE(datagrams);
    ASSERT_EQ(datagrams->size(), 3u);
    EXPECT_EQ((*datagrams)[0].payload, std::string(10, 'a'));
    EXPECT_FALSE((*datagrams)[0].truncated);
    EXPECT_EQ((*datagrams)[0].peer, Loopback::must(socket->local()));
    EXPECT_TRUE((*datagrams)[1].truncated);
    EXPECT_EQ((*datagrams)[1].payload.size(), 16u);
    EXPECT_TRUE((*datagrams)[2].payload.empty());
    EXPECT_TRUE(batch.receive(receiver.socket().fd())->empty());
}

TEST(ReceiveBatch, HasTheNumberOfDropsBeforeADatagram) {
    Loopback receiver("::1", 4096);
    ReceiveBatch batch(256, 2048);
    const auto receive = [&] {
        const auto datagrams = batch.receive(receiver.socket().fd());
        return datagrams ? datagrams->size() : 0;
    };
    const std::string payload(1000, 'x');
    for (int i = 0; i < 100; ++i) send(receiver.endpoint(), payload);
    const auto received = static_cast<std::uint32_t>(receive());
    ASSERT_LT(received, 100u);
    EXPECT_EQ(batch.drops(), std::nullopt) << "these came before the first drop";
    send(receiver.endpoint(), payload);
    ASSERT_EQ(receive(), 1u);
    EXPECT_EQ(batch.drops(), std::optional<std::uint32_t>(100 - received));
    EXPECT_EQ(receive(), 0u);
    EXPECT_EQ(batch.drops(), std::nullopt) << "nothing came, so nothing was said";
}

TEST(ReceiveBatch, HasTheDropsOfAnAdoptedSocket) {
    const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage storage{};
    const socklen_t length = Endpoint{Address::parse("::1").value(), 0}.to(storage);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length), 0);
    const auto adopted = UdpSocket::adopted(UniqueFd(::dup(fd.get())), 4096);
    ASSERT_TRUE(adopted);
    const Endpoint here = Loopback::must(adopted->local());
    for (int i = 0; i < 100; ++i) send(here, std::string(1000, 'x'));
    ReceiveBatch batch(256, 2048);
    ASSERT_TRUE(batch.receive(adopted->fd()));
    send(here, "after");
    ASSERT_TRUE(batch.receive(adopted->fd()));
    EXPECT_GT(batch.drops().value_or(0), 0u);
}

}  // namespace
}  // namespace flowd::net
