// SPDX-License-Identifier: Apache-2.0
// The daemon knows its own sockets by their cookies, and its connections by where it listens.
#include "plugins/perfsonar/own_sockets.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "flowd/unique_fd.hpp"

namespace flowd::perfsonar {
namespace {

std::uint64_t cookie_of(int fd) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
    return cookie;
}

TEST(OwnSocketsTest, ASocketIsOwnFromTheNextLookUntilItIsClosed) {
    OwnSockets own;
    UniqueFd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const std::uint64_t cookie = cookie_of(socket.get());
    EXPECT_FALSE(own.has(cookie));
    own.refresh();
    EXPECT_TRUE(own.has(cookie));
    socket.reset();
    own.refresh();
    EXPECT_FALSE(own.has(cookie));
}

/// A listener on that address; its port.
std::uint16_t listen_on(UniqueFd& socket, const char* address) {
    sockaddr_storage storage{};
    const socklen_t size = Endpoint{*Address::parse(address), 0}.to(storage);
    socket = UniqueFd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), size), 0);
    EXPECT_EQ(::listen(socket.get(), 1), 0);
    socklen_t bound = sizeof storage;
    EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &bound), 0);
    return Endpoint::from(storage)->port;
}

TEST(OwnSocketsTest, AConnectionToAListenerIsOwnWhateverItsSocketIs) {
    OwnSockets own;
    UniqueFd loopback;
    UniqueFd any;
    const std::uint16_t one = listen_on(loopback, "127.0.0.1");
    const std::uint16_t other = listen_on(any, "0.0.0.0");
    own.refresh();
    EXPECT_TRUE(own.listens_on({*Address::parse("127.0.0.1"), one}));
    EXPECT_FALSE(own.listens_on({*Address::parse("192.0.2.1"), one}));
    EXPECT_TRUE(own.listens_on({*Address::parse("192.0.2.1"), other}));
    EXPECT_FALSE(own.listens_on({*Address::parse("2001:db8::1"), other})) << "0.0.0.0 takes no IPv6";
}

}  // namespace
}  // namespace flowd::perfsonar
