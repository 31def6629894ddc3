// SPDX-License-Identifier: Apache-2.0
// What is told of changes of interfaces and routes, and how often it makes anybody look.
#include "lib/bpf/rtnetlink.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "flowd/testing.hpp"
#include "lib/bpf/throttle.hpp"

namespace flowd::bpf {
namespace {

/// In a network namespace of the test's own, left with it.
class NetlinkChanges : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "needs root";
        run("ip link add near0 type veth peer name far0; ip link set far0 up; ip link set near0 up; ip addr add "
            "192.0.2.1/24 dev near0; "
            "ip addr add 2001:db8::1/64 dev near0 nodad");
    }
    static void run(const std::string& commands) { ASSERT_EQ(std::system(commands.c_str()), 0) << commands; }
    static void batch(const std::string& commands) {
        std::FILE* const ip = ::popen("ip -batch -", "w");
        ASSERT_NE(ip, nullptr);
        std::fputs(commands.c_str(), ip);
        ASSERT_EQ(::pclose(ip), 0);
    }
    static bool is_readable(const nl::Subscription& netlink) {
        pollfd waiting{netlink.fd(), POLLIN, 0};
        return ::poll(&waiting, 1, 0) == 1;
    }
};

TEST_F(NetlinkChanges, OnlyChangesOfDefaultRoutesAreReported) {
    auto netlink = subscribe(RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE);
    ASSERT_TRUE(netlink);
    (void)netlink->drain();
    std::string add, remove;
    for (int i = 0; i < 5000; ++i) {
        const std::string route = "198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250) + "/32 dev near0\n";
        const std::string route6 = "2001:db8:1::" + std::to_string(i + 1) + "/128 dev near0\n";
        add += "route add " + route + "route add " + route6;
        remove += "route del " + route + "route del " + route6;
    }
    batch(add);
    EXPECT_FALSE(is_readable(*netlink));
    batch(remove);
    EXPECT_FALSE(is_readable(*netlink)) << "nothing waits, and nothing was lost for want of room";
    for (const char* command : {"ip route add default via 192.0.2.2", "ip route del default via 192.0.2.2",
                                "ip -6 route add default via 2001:db8::2", "ip -6 route del default via 2001:db8::2",
                                "ip link add near1 type veth peer name far1", "ip link del near1"}) {
        run(command);
        EXPECT_TRUE(is_readable(*netlink)) << command;
        EXPECT_TRUE(netlink->drain()) << command;
    }
}

TEST_F(NetlinkChanges, LostNotificationsCountAsAChange) {
    auto netlink = subscribe(RTMGRP_LINK);
    ASSERT_TRUE(netlink);
    const int small = 1;
    ASSERT_EQ(::setsockopt(netlink->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    std::string flaps;
    for (int i = 0; i < 200; ++i) flaps += "link set near0 down\nlink set near0 up\n";
    batch(flaps);
    EXPECT_TRUE(netlink->drain());
    EXPECT_FALSE(netlink->drain());
    run("ip link add near2 type veth peer name far2");
    EXPECT_TRUE(netlink->drain()) << "and it goes on";
}

TEST(Throttle, ABurstIsOneCallAtOnceAndOneAtItsEnd) {
    testing::FakeHost fake;
    const std::unique_ptr<Host> host = std::move(Host::make(fake.raw())).value();
    int done = 0;
    Throttle throttle(*host, [&done] { ++done; });
    for (int i = 0; i < 1000; ++i) throttle.call();
    EXPECT_EQ(done, 1);
    fake.advance(Throttle::default_period);
    EXPECT_EQ(done, 2) << "the last change is looked at";
    fake.advance(Throttle::default_period);
    EXPECT_EQ(done, 2);
    throttle.call();
    EXPECT_EQ(done, 3) << "after a rest at once again";
    throttle.call();
    throttle.cancel();
    fake.advance(Throttle::default_period);
    EXPECT_EQ(done, 3);
}

}  // namespace
}  // namespace flowd::bpf
