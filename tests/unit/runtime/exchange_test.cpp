// SPDX-License-Identifier: Apache-2.0
// What instances tell each other through the core: interfaces, shared descriptors, the daemon's sockets.
#include <arpa/inet.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "flowd/abi/ext/descriptors.h"
#include "flowd/abi/ext/interfaces.h"
#include "flowd/abi/ext/shared.h"
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

struct ExchangeTest : Rig {
    /// Runs on the instance's thread and waits.
    void on_instance(Instance& x, const std::function<void()>& job) {
        std::atomic<bool> done{false};
        ASSERT_TRUE(x.run_job([&](flowd_instance*) {
            job();
            done = true;
        }));
        ASSERT_TRUE(eventually([&] { return done.load(); }));
    }
    static const flowd_host* host_of(const char* key) { return Scripts::of(key).host; }
    static const flowd_ext_interfaces& interfaces_of(const char* key) {
        return *static_cast<const flowd_ext_interfaces*>(host_of(key)->extension(host_of(key), FLOWD_EXT_INTERFACES));
    }
    static const flowd_ext_shared& shared_of(const char* key) {
        return *static_cast<const flowd_ext_shared*>(host_of(key)->extension(host_of(key), FLOWD_EXT_SHARED));
    }
    void publish(Instance& x, const char* key, std::vector<std::string> names) {
        on_instance(x, [&] {
            std::vector<flowd_interface> raw;
            for (std::uint32_t i = 0; i < names.size(); ++i)
                raw.push_back(
                    {sizeof(flowd_interface), FLOWD_INTERFACE_MARKS, i + 1, 0, to_c(names[i]), to_c("configured"), {}});
            EXPECT_EQ(interfaces_of(key).publish(host_of(key), raw.data(), raw.size(), sizeof(flowd_interface)), FLOWD_OK);
        });
    }
    /// "INSTANCE NAME WHY", as anybody sees them.
    static std::vector<std::string> visible(const char* key) {
        std::vector<std::string> all;
        const auto add = [](void* user, const flowd_interface* one) -> std::int32_t {
            static_cast<std::vector<std::string>*>(user)->push_back(std::string(to_view(one->instance)) + " " +
                                                                    std::string(to_view(one->name)) + " " +
                                                                    std::string(to_view(one->why)));
            return 0;
        };
        EXPECT_EQ(interfaces_of(key).visit(host_of(key), add, &all), FLOWD_OK);
        return all;
    }
    void follow(Instance& x, const char* key, std::atomic<int>& calls) {
        on_instance(x, [&] {
            EXPECT_EQ(interfaces_of(key).on_change(
                          host_of(key), [](void* user) { ++*static_cast<std::atomic<int>*>(user); }, &calls),
                      FLOWD_OK);
        });
    }
};

TEST_F(ExchangeTest, PublishingReplacesTheInstancesListUntilItIsDestroyed) {
    auto marker = running(config(FLOWD_BACKEND, "marker"));
    auto meter = running(config(FLOWD_PLUGIN, "meter"));
    publish(*marker, "marker", {"eth0", "eth1"});
    EXPECT_EQ(visible("meter"),
              (std::vector<std::string>{"backend marker eth0 configured", "backend marker eth1 configured"}));
    publish(*marker, "marker", {"eth2"});
    EXPECT_EQ(visible("meter"), (std::vector<std::string>{"backend marker eth2 configured"}));
    publish(*marker, "marker", {});
    EXPECT_TRUE(visible("meter").empty());
    publish(*marker, "marker", {"eth2"});
    ASSERT_TRUE(stops(*marker));
    EXPECT_TRUE(visible("meter").empty());
}

TEST_F(ExchangeTest, OtherInstancesAreNotifiedOfChangesNotTheInstanceItself) {
    auto marker = running(config(FLOWD_BACKEND, "marker"));
    auto meter = running(config(FLOWD_PLUGIN, "meter"));
    std::atomic<int> meter_calls{0}, marker_calls{0};
    follow(*meter, "meter", meter_calls);
    follow(*marker, "marker", marker_calls);
    publish(*marker, "marker", {"eth0"});
    EXPECT_TRUE(eventually([&] { return meter_calls == 1; }));
    publish(*marker, "marker", {"eth0"});
    publish(*marker, "marker", {"eth1"});
    EXPECT_TRUE(eventually([&] { return meter_calls == 2; })) << "the same again is no change";
    ASSERT_TRUE(stops(*marker));
    EXPECT_TRUE(eventually([&] { return meter_calls == 3; })) << "what is withdrawn is a change";
    EXPECT_EQ(marker_calls, 0);
    ASSERT_TRUE(stops(*meter));
}

TEST_F(ExchangeTest, ALateSubscriberIsNotifiedOnceOfPublishedInterfaces) {
    auto marker = running(config(FLOWD_BACKEND, "marker"));
    auto meter = running(config(FLOWD_PLUGIN, "meter"));
    publish(*marker, "marker", {"eth0"});
    std::atomic<int> calls{0};
    follow(*meter, "meter", calls);
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
    on_instance(*meter, [&] { EXPECT_EQ(interfaces_of("meter").on_change(host_of("meter"), nullptr, nullptr), FLOWD_OK); });
    publish(*marker, "marker", {"eth1"});
    on_instance(*meter, [] {});
    EXPECT_EQ(calls, 1) << "it has ended";
    ASSERT_TRUE(stops(*meter));
}

TEST_F(ExchangeTest, MalformedInterfacesAreRefusedAndNothingChanges) {
    auto marker = running(config(FLOWD_BACKEND, "marker"));
    publish(*marker, "marker", {"eth0"});
    const auto& table = interfaces_of("marker");
    const flowd_host* host = host_of("marker");
    flowd_interface nameless{sizeof(flowd_interface), FLOWD_INTERFACE_MARKS, 1, 0, {}, {}, {}};
    EXPECT_EQ(table.publish(host, &nameless, 1, sizeof nameless), FLOWD_INVALID) << "from another thread";
    on_instance(*marker, [&] {
        EXPECT_EQ(table.publish(host, &nameless, 1, sizeof nameless), FLOWD_INVALID);
        EXPECT_EQ(table.publish(host, nullptr, 1, sizeof nameless), FLOWD_INVALID);
        EXPECT_EQ(table.publish(host, &nameless, 4097, sizeof nameless), FLOWD_LIMIT);
    });
    EXPECT_EQ(table.visit(host, nullptr, nullptr), FLOWD_INVALID);
    EXPECT_EQ(visible("marker"), (std::vector<std::string>{"backend marker eth0 configured"}));
}

TEST_F(ExchangeTest, SubscribersAreNotifiedWhenTheOffersOfADescriptorChange) {
    auto marker = running(config(FLOWD_BACKEND, "marker"));
    auto netlink = running(config(FLOWD_PLUGIN, "netlink"));
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    std::atomic<int> calls{0};
    const auto on_change = [&](flowd_string name, std::atomic<int>* counter) {
        flowd_result result = FLOWD_ERROR;
        on_instance(*netlink, [&] {
            result = shared_of("netlink").on_change(
                host_of("netlink"), name,
                counter == nullptr ? nullptr : +[](void* user) { ++*static_cast<std::atomic<int>*>(user); }, counter);
        });
        return result;
    };
    const auto offer = [&](const char* name) {
        on_instance(*marker,
                    [&] { EXPECT_EQ(shared_of("marker").offer(host_of("marker"), to_c(name), event.get()), FLOWD_OK); });
    };
    ASSERT_EQ(on_change(to_c("x/1"), &calls), FLOWD_OK);
    offer("x/2");
    offer("x/1");
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
    on_instance(*marker, [&] { shared_of("marker").withdraw(host_of("marker"), to_c("x/1")); });
    EXPECT_TRUE(eventually([&] { return calls == 2; }));
    offer("x/1");
    EXPECT_TRUE(eventually([&] { return calls == 3; }));
    ASSERT_TRUE(stops(*marker));
    EXPECT_TRUE(eventually([&] { return calls == 4; }));
    EXPECT_EQ(on_change(to_c(""), &calls), FLOWD_INVALID);
    EXPECT_EQ(on_change(to_c("x/1"), nullptr), FLOWD_OK);
    ASSERT_TRUE(stops(*netlink));
}

TEST_F(ExchangeTest, ALateSubscriberIsNotifiedOnceOfAnOfferedDescriptor) {
    auto marker = running(config(FLOWD_BACKEND, "marker"));
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    std::atomic<int> calls{0};
    on_instance(*marker, [&] {
        const flowd_host* host = host_of("marker");
        EXPECT_EQ(shared_of("marker").offer(host, to_c("x/1"), event.get()), FLOWD_OK);
        EXPECT_EQ(shared_of("marker").on_change(
                      host, to_c("x/1"), [](void* user) { ++*static_cast<std::atomic<int>*>(user); }, &calls),
                  FLOWD_OK);
    });
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
    ASSERT_TRUE(stops(*marker));
}

TEST_F(ExchangeTest, TheInternetSocketsOfTheProcessAreListed) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const UniqueFd udp(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const UniqueFd local(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage storage{};
    socklen_t length = Endpoint{*Address::parse("::1"), 0}.to(storage);
    ASSERT_EQ(::bind(udp.get(), reinterpret_cast<const sockaddr*>(&storage), length), 0);
    ASSERT_EQ(::getsockname(udp.get(), reinterpret_cast<sockaddr*>(&storage), &length), 0);
    const std::uint16_t port = Endpoint::from(storage)->port;
    const flowd_host* host = host_of("x");
    const auto* table = static_cast<const flowd_ext_descriptors*>(host->extension(host, FLOWD_EXT_DESCRIPTORS));
    struct Seen {
        std::uint16_t port;
        int matching = 0;
    } seen{port};
    const auto look = [](void* user, const flowd_socket* socket) -> std::int32_t {
        auto& wanted = *static_cast<Seen*>(user);
        EXPECT_NE(socket->cookie, 0u);
        if (socket->local_port == wanted.port && socket->protocol == 17 &&
            Address(socket->local) == *Address::parse("::1") && socket->remote_port == 0)
            ++wanted.matching;
        return 0;
    };
    ASSERT_EQ(table->sockets(host, 0, look, &seen), FLOWD_OK);
    EXPECT_EQ(seen.matching, 1);
    EXPECT_EQ(table->sockets(host, 0, nullptr, nullptr), FLOWD_INVALID);
    EXPECT_EQ(table->sockets(host, -1, look, &seen), FLOWD_INVALID);
    ASSERT_TRUE(stops(*x));
}

class OwnSocketsTest : public ::testing::Test {
  protected:
    static UniqueFd bound(int type, int protocol = 0) {
        UniqueFd fd(::socket(AF_INET6, type | SOCK_CLOEXEC, protocol));
        EXPECT_TRUE(fd);
        sockaddr_storage storage{};
        const socklen_t length = Endpoint{*Address::parse("::1"), 0}.to(storage);
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length), 0);
        return fd;
    }
    static std::uint64_t cookie_of(const UniqueFd& fd) {
        std::uint64_t cookie = 0;
        socklen_t size = sizeof cookie;
        EXPECT_EQ(::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
        return cookie;
    }
    /// As the core sees it now.
    std::optional<flowd_socket> seen(std::uint64_t cookie) {
        const auto all = sockets_.list({});
        const auto found =
            std::find_if(all->begin(), all->end(), [&](const flowd_socket& one) { return one.cookie == cookie; });
        return found == all->end() ? std::nullopt : std::optional(*found);
    }
    OwnSockets sockets_;
};

TEST_F(OwnSocketsTest, AreIdentifiedByCookieWhoeverOpenedThem) {
    UniqueFd socket = bound(SOCK_DGRAM);
    const std::uint64_t cookie = cookie_of(socket);
    ASSERT_TRUE(seen(cookie));
    EXPECT_EQ(seen(cookie)->flags, 0u);
    EXPECT_EQ(seen(cookie)->protocol, IPPROTO_UDP);
    socket.reset();
    EXPECT_FALSE(seen(cookie));
}

TEST_F(OwnSocketsTest, ListeningSocketsAreListed) {
    const UniqueFd socket = bound(SOCK_STREAM);
    EXPECT_EQ(seen(cookie_of(socket))->flags, 0u);
    ASSERT_EQ(::listen(socket.get(), 1), 0);
    EXPECT_EQ(seen(cookie_of(socket))->flags, std::uint32_t{FLOWD_SOCKET_LISTENS});
}

TEST_F(OwnSocketsTest, ThatAreConnectedHaveARemotePort) {
    const UniqueFd receiver = bound(SOCK_DGRAM), sender = bound(SOCK_DGRAM);
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ASSERT_EQ(::getsockname(receiver.get(), reinterpret_cast<sockaddr*>(&storage), &length), 0);
    ASSERT_EQ(::connect(sender.get(), reinterpret_cast<const sockaddr*>(&storage), length), 0);
    EXPECT_EQ(seen(cookie_of(sender))->remote_port, seen(cookie_of(receiver))->local_port);
    EXPECT_EQ(seen(cookie_of(receiver))->remote_port, 0);
}

TEST_F(OwnSocketsTest, SocketsOfOtherProtocolsAreListed) {
    const UniqueFd raw = bound(SOCK_RAW, IPPROTO_ICMPV6);
    ASSERT_TRUE(seen(cookie_of(raw)));
    EXPECT_EQ(seen(cookie_of(raw))->protocol, IPPROTO_ICMPV6);
    EXPECT_EQ(seen(cookie_of(raw))->local_port, 0) << "what the kernel answers there is the protocol";
}

TEST_F(OwnSocketsTest, AreListedAgainIfOlderThanRequested) {
    const auto start = OwnSockets::Clock::now();
    const auto first = sockets_.list({}, start);
    EXPECT_EQ(sockets_.list(std::chrono::seconds(1), start + std::chrono::milliseconds(999)), first);
    const auto second = sockets_.list(std::chrono::seconds(1), start + std::chrono::seconds(1));
    EXPECT_NE(second, first);
    EXPECT_NE(sockets_.list({}, start + std::chrono::seconds(1)), second);
}

}  // namespace
}  // namespace flowd::core::test
