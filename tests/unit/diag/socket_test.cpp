// SPDX-License-Identifier: Apache-2.0
// What the kernel of this machine says of real sockets.
#include "lib/diag/socket.hpp"

#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <poll.h>

#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "lib/diag/destroy_listener.hpp"
#include "lib/net/tcp_info.hpp"
#include "tests/unit/diag/connections.hpp"

namespace flowd::diag {
namespace {

/// Cookies of the connections whose local port is `port`, with their usage.
std::map<std::uint64_t, flowd_usage> with_local_port(std::uint16_t port) {
    auto socket = Socket::open();
    EXPECT_TRUE(socket.ok());
    std::map<std::uint64_t, flowd_usage> found;
    const DumpRequest request{IPPROTO_TCP, extension_bit(INET_DIAG_INFO), connected_states()};
    const auto done = socket->dump(request, [&](const Connection& connection) {
        if (connection.local.port == port) found[connection.cookie] = net::tcp_usage(connection.tcp_info).value();
    });
    EXPECT_TRUE(done.ok());
    return found;
}

TEST(Socket, HasBothEndsOfAConnection) {
    const Listener listener("::1");
    Pair pair(listener, "::1");
    pair.send(1000);
    const auto server = with_local_port(listener.port());
    ASSERT_EQ(server.size(), 1u);
    EXPECT_EQ(server.begin()->first, cookie_of(pair.server.get()));
    EXPECT_EQ(server.begin()->second.bytes_received, 1000u);
    const auto client = with_local_port(pair.client_end().port);
    ASSERT_EQ(client.size(), 1u);
    EXPECT_EQ(client.begin()->first, cookie_of(pair.client.get()));
    EXPECT_EQ(client.begin()->second.bytes_sent, 1000u);
}

TEST(Socket, ConvertsMappedAddressesToIPv4) {
    const Listener listener("::");
    const Pair mapped(listener, "::ffff:127.0.0.1");
    const Pair plain(listener, "127.0.0.1");
    auto socket = Socket::open();
    ASSERT_TRUE(socket.ok());
    std::vector<std::string> servers;
    const auto done = socket->dump({IPPROTO_TCP, 0, connected_states()}, [&](const Connection& connection) {
        if (connection.local.port == listener.port()) servers.push_back(connection.local.address.to_string());
    });
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(servers, (std::vector<std::string>{"127.0.0.1", "127.0.0.1"}));
}

TEST(Socket, ReportsARefusal) {
    auto socket = Socket::open();
    ASSERT_TRUE(socket.ok());
    const auto done = socket->dump({250, 0, connected_states()}, [](const Connection&) {});
    ASSERT_FALSE(done.ok());
    EXPECT_NE(done.error().message.find("sock_diag"), std::string::npos);
    // and is good for the next question
    EXPECT_TRUE(socket->dump({IPPROTO_TCP, 0, connected_states()}, [](const Connection&) {}).ok());
}

class DestroyListenerTest : public ::testing::Test {
  protected:
    /// Reads until a socket of `port` was told, for ten seconds.
    std::optional<Connection> wait_for(DestroyListener& listener, std::uint16_t port, flowd_usage& usage) {
        std::optional<Connection> found;
        for (int i = 0; i < 100 && !found; ++i) {
            pollfd wanted{listener.fd(), POLLIN, 0};
            ::poll(&wanted, 1, 100);
            const auto heard = listener.receive(1000, [&](const Connection& closed) {
                if (closed.local.port != port || closed.remote.port == 0) return;
                found = closed;
                usage = net::tcp_usage(closed.tcp_info).value();
            });
            EXPECT_TRUE(heard.ok());
        }
        return found;
    }
};

TEST_F(DestroyListenerTest, ReportsAClosedConnectionWithItsLastCounts) {
    auto listener = DestroyListener::open(false, 1 << 20);
    ASSERT_TRUE(listener.ok());
    const Listener port("127.0.0.1");
    Pair pair(port, "127.0.0.1");
    pair.send(12345);
    pair.answer(777);
    const auto client = pair.client_end();
    const auto cookie = cookie_of(pair.client.get());
    pair.client.reset();
    pair.server.reset();
    flowd_usage usage{};
    const auto closed = wait_for(*listener, client.port, usage);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->local, client);
    EXPECT_EQ(closed->cookie, cookie);
    EXPECT_EQ(usage.bytes_sent, 12345u);
    // A FIN that came before counts as one, and nothing here tells whether it had.
    EXPECT_GE(usage.bytes_received, 777u);
    EXPECT_LE(usage.bytes_received, 778u);
}

TEST_F(DestroyListenerTest, ReportsLostNotifications) {
    auto listener = DestroyListener::open(false, 4096);
    ASSERT_TRUE(listener.ok());
    const Listener port("127.0.0.1");
    // The kernel tells them later, on a thread of its own.
    for (int i = 0; i < 200; ++i) Pair(port, "127.0.0.1").reset();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (netlink_drops() == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    const auto heard = listener->receive(1000, [](const Connection&) {});
    ASSERT_TRUE(heard.ok());
    EXPECT_TRUE(heard->lost);
}

}  // namespace
}  // namespace flowd::diag
