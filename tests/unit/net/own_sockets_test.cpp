// SPDX-License-Identifier: Apache-2.0
#include "lib/net/own_sockets.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <memory>

#include "flowd/testing/fake_host.hpp"
#include "tests/unit/net/own_socket.hpp"

namespace flowd::net {
namespace {

Endpoint at(const char* address, std::uint16_t port) {
    return {Address::parse(address).value(), port};
}

/// As the core tells of the daemon's sockets.
class OwnSocketsTest : public ::testing::Test {
  protected:
    template <typename... Arguments>
    void hold(const Arguments&... arguments) {
        fake_.add_socket(own_socket(arguments...));
    }
    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw()).value());
    OwnSockets own_{*host_};
    OwnReceivers receivers_{*host_};
};

TEST_F(OwnSocketsTest, ASocketIsOwnFromTheNextListingUntilItIsClosed) {
    hold(IPPROTO_UDP, at("::1", 4000), Endpoint{}, 0, 77);
    EXPECT_FALSE(own_.has(77));
    own_.refresh();
    EXPECT_TRUE(own_.has(77));
    fake_.forget_sockets();
    own_.refresh();
    EXPECT_FALSE(own_.has(77));
}

TEST_F(OwnSocketsTest, ASocketWithoutACookieMatchesNoOther) {
    hold(IPPROTO_UDP, at("::1", 4000), Endpoint{}, 0, 0);
    own_.refresh();
    EXPECT_FALSE(own_.has(0));
}

TEST_F(OwnSocketsTest, AConnectionToAListenerIsOwnWhateverItsSocketIs) {
    hold(IPPROTO_TCP, at("127.0.0.1", 80), Endpoint{}, FLOWD_SOCKET_LISTENS);
    hold(IPPROTO_TCP, at("0.0.0.0", 81), Endpoint{}, FLOWD_SOCKET_LISTENS);
    hold(IPPROTO_TCP, at("::", 82), Endpoint{}, FLOWD_SOCKET_LISTENS);
    hold(IPPROTO_TCP, at("127.0.0.1", 83), at("127.0.0.1", 9));
    own_.refresh();
    EXPECT_TRUE(own_.listens_on(at("127.0.0.1", 80)));
    EXPECT_FALSE(own_.listens_on(at("192.0.2.1", 80)));
    EXPECT_TRUE(own_.listens_on(at("192.0.2.1", 81)));
    EXPECT_FALSE(own_.listens_on(at("2001:db8::1", 81))) << "0.0.0.0 takes no IPv6";
    EXPECT_TRUE(own_.listens_on(at("192.0.2.1", 82)));
    EXPECT_FALSE(own_.listens_on(at("127.0.0.1", 83))) << "it is connected";
}

TEST_F(OwnSocketsTest, ACoreWithoutTheListIsWarnedOfOnce) {
    fake_.mutable_raw().extension = [](const flowd_host*, const char*) -> const void* { return nullptr; };
    const auto host = std::move(Host::make(fake_.raw()).value());
    OwnSockets own(*host);
    own.refresh();
    own.refresh();
    EXPECT_EQ(fake_.lines().size(), 1u);
    EXPECT_TRUE(fake_.logged("own traffic cannot be distinguished from other traffic"));
}

TEST_F(OwnSocketsTest, AReceiverIsAtTheAddressThatItIsBoundTo) {
    hold(IPPROTO_UDP, at("::1", 4000));
    EXPECT_TRUE(receivers_.includes(at("::1", 4000)));
    EXPECT_FALSE(receivers_.includes(at("127.0.0.1", 4000)));
    EXPECT_FALSE(receivers_.includes(at("2001:db8::1", 4000)));
    EXPECT_FALSE(receivers_.includes(at("::1", 9)));
}

TEST_F(OwnSocketsTest, AReceiverBoundToTheUnspecifiedAddressIsAtEveryAddress) {
    hold(IPPROTO_UDP, at("::", 4000));
    EXPECT_TRUE(receivers_.includes(at("::1", 4000)));
    EXPECT_TRUE(receivers_.includes(at("127.0.0.5", 4000)));
    for (const Address& address : own_addresses()) EXPECT_TRUE(receivers_.includes({address, 4000}));
    EXPECT_FALSE(receivers_.includes(at("2001:db8::1", 4000)));
}

TEST_F(OwnSocketsTest, AReceiverOfIpv4DoesNotHideIpv6) {
    hold(IPPROTO_UDP, at("0.0.0.0", 4000));
    EXPECT_TRUE(receivers_.includes(at("127.0.0.1", 4000)));
    EXPECT_FALSE(receivers_.includes(at("::1", 4000)));
}

TEST_F(OwnSocketsTest, ReceiversAreListedAgainAfterAWhile) {
    hold(IPPROTO_UDP, at("::1", 4000));
    const auto now = OwnReceivers::Clock::now();
    EXPECT_TRUE(receivers_.includes(at("::1", 4000), now));
    fake_.forget_sockets();
    EXPECT_TRUE(receivers_.includes(at("::1", 4000), now)) << "remembered";
    EXPECT_FALSE(receivers_.includes(at("::1", 4000), now + OwnReceivers::age + std::chrono::seconds(1)));
}

TEST_F(OwnSocketsTest, SendingAndTcpSocketsAreNotReceivers) {
    hold(IPPROTO_UDP, at("::1", 4000), at("::1", 9));
    hold(IPPROTO_TCP, at("::1", 4001), Endpoint{}, FLOWD_SOCKET_LISTENS);
    hold(IPPROTO_UDP, at("::", 0));
    EXPECT_FALSE(receivers_.includes(at("::1", 4000)));
    EXPECT_FALSE(receivers_.includes(at("::1", 4001)));
    EXPECT_FALSE(receivers_.includes(at("::1", 0)));
}

}  // namespace
}  // namespace flowd::net
