// SPDX-License-Identifier: Apache-2.0
// What is told of changes of interfaces and routes, and how often it makes anybody look.
#include "lib/bpf/rtnetlink.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "flowd/testing.hpp"
#include "lib/bpf/attachments.hpp"
#include "lib/bpf/interfaces.hpp"
#include "lib/bpf/map.hpp"
#include "lib/bpf/ring.hpp"
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

std::string names_of_uppermost(const std::vector<Link>& chosen, const std::vector<Link>& all) {
    std::string names;
    for (const Link& link : uppermost(chosen, all)) names += link.name + " ";
    return names;
}

TEST(Uppermost, APortIsLeftOutIfTheVlanOfItsBridgeIsChosen) {
    const Link port{.index = 1, .name = "port", .master = 3};
    const Link other{.index = 2, .name = "other"};
    const Link bridge{.index = 3, .name = "bridge"};
    const Link vlan{.index = 4, .name = "vlan", .lower = 3};
    const std::vector<Link> all{port, other, bridge, vlan};
    EXPECT_EQ(names_of_uppermost({port, other, vlan}, all), "other vlan ");
    EXPECT_EQ(names_of_uppermost({port, other}, all), "port other ");
    EXPECT_EQ(names_of_uppermost(all, all), "other vlan ");
}

TEST(Uppermost, AnInterfaceIsNotStackedOnItself) {
    const std::vector<Link> ring{{.index = 1, .name = "one", .lower = 2}, {.index = 2, .name = "two", .lower = 1}};
    EXPECT_EQ(names_of_uppermost({ring[0]}, ring), "one ");
}

TEST_F(NetlinkChanges, OnlyChangesOfDefaultRoutesAreReported) {
    auto netlink = subscribe(RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE);
    // Without links: the kernel reports the state of a new interface whenever it finds the time.
    const auto routes = subscribe(RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE);
    ASSERT_TRUE(netlink && routes);
    std::string add, remove;
    for (int i = 0; i < 5000; ++i) {
        const std::string route = "198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250) + "/32 dev near0\n";
        const std::string route6 = "2001:db8:1::" + std::to_string(i + 1) + "/128 dev near0\n";
        add += "route add " + route + "route add " + route6;
        remove += "route del " + route + "route del " + route6;
    }
    batch(add);
    EXPECT_FALSE(is_readable(*routes));
    batch(remove);
    EXPECT_FALSE(is_readable(*routes)) << "nothing waits, and nothing was lost for want of room";
    (void)netlink->drain();
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

std::string name_of(int index) {
    char name[IF_NAMESIZE] = {};
    return ::if_indextoname(static_cast<unsigned>(index), name) != nullptr ? name : "";
}

using Described = std::map<std::string, std::string>;

/// What chooses each interface if none is configured.
Described chosen(RouteFamily family) {
    const auto found = Interfaces({{}, false, family}).find();
    EXPECT_TRUE(found) << found.error().message;
    Described all;
    if (found)
        for (const auto& [index, why] : found->why) all[name_of(index)] = why;
    return all;
}

// case C19
TEST_F(NetlinkChanges, ADefaultRouteChoosesItsInterfaceIfARuleLeadsToItsTable) {
    for (const std::string number : {"1", "2", "3"})
        run("ip link add near" + number + " type veth peer name far" + number + "; ip link set far" + number +
            " up; ip link set near" + number + " up; ip addr add 2001:db8:" + number + "::1/64 dev near" + number +
            " nodad; ip -6 route add default via 2001:db8:" + number + "::2 dev near" + number + " table 20" + number);
    EXPECT_EQ(chosen(RouteFamily::ipv6), Described{}) << "no rule leads to these tables";
    auto netlink = subscribe(Interfaces({}).groups());
    ASSERT_TRUE(netlink);
    (void)netlink->drain();
    run("ip -6 rule add from 2001:db8:1::/64 table 201");
    EXPECT_TRUE(netlink->drain()) << "a change of rules is reported";
    run("ip -6 rule add from 2001:db8:2::/64 table 202 suppress_prefixlength 0");
    EXPECT_EQ(chosen(RouteFamily::ipv6), (Described{{"near1", "IPv6 default route via 2001:db8:1::2 in table 201"}}))
        << "a rule that suppresses default routes does not lead to one";
    run("ip -6 route add default via 2001:db8::2 dev near0; ip -4 route add default via 192.0.2.2 dev near0");
    EXPECT_EQ(chosen(RouteFamily::ipv6)["near0"], "IPv6 default route via 2001:db8::2 in the main table");
    run("ip -6 route add default dev near1 metric 1");
    EXPECT_EQ(chosen(RouteFamily::both)["near1"], "IPv6 default route in the main table") << "the main table first";
    run("ip -6 rule add from 2001:db8:3::/64 table 203; ip -6 route replace default table 203 nexthop via 2001:db8:3::3 "
        "dev near3 nexthop via "
        "2001:db8:2::3 dev near2");
    EXPECT_EQ(chosen(RouteFamily::ipv6)["near2"], "IPv6 default route via 2001:db8:2::3 in table 203");
    EXPECT_EQ(chosen(RouteFamily::ipv6)["near3"], "IPv6 default route via 2001:db8:3::3 in table 203");
    run("ip -6 route del default via 2001:db8::2 dev near0");
    EXPECT_EQ(chosen(RouteFamily::both)["near0"], "IPv4 default route via 192.0.2.2 in the main table");
    EXPECT_EQ(Interfaces({{"near0"}}).find()->why.size(), 1u);
}

// case C38
TEST_F(NetlinkChanges, InterfacesTellHowManyPacketsTheySent) {
    const auto sent = [] {
        const auto all = sent_packets();
        EXPECT_TRUE(all) << all.error().message;
        return all ? all->at(static_cast<int>(::if_nametoindex("near0"))) : 0;
    };
    const std::uint64_t before = sent();
    run("ping -6 -q -c 7 -i 0.01 -W 0.01 ff02::1%near0 > /dev/null 2>&1 || true");
    EXPECT_GE(sent(), before + 7);
}

// case C41
TEST(Hardware, PacketsOfUnknownFormatAreRefusedByTheirType) {
    Link link;
    link.name = "can0";
    link.hardware = 280;  // ARPHRD_CAN
    const auto refused = check_hardware(link);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "can0 is of hardware type 280, whose packets cannot be parsed");
    for (const std::uint16_t known : {1, 512, 519, 768, 769, 772, 776, 778, 823, 65534}) {
        link.hardware = known;
        EXPECT_TRUE(check_hardware(link)) << known;
    }
}

// case C47
TEST(RingSize, IsAPowerOfTwoOfWholePages) {
    for (const std::uint32_t page : {4096u, 16384u, 65536u}) {
        EXPECT_EQ(ring_size(1, page), page);
        EXPECT_EQ(ring_size(page, page), page);
        EXPECT_EQ(ring_size(page + 1, page), 2 * page);
        EXPECT_EQ(ring_size(100'000, page), 131072u);
        EXPECT_EQ(ring_size(4u << 20, page), 4u << 20);
    }
}

// case C47
TEST(PerCpuMaps, HaveAValueForEachPossibleCpuNotOnlyForThoseOnline) {
    EXPECT_GE(detail::possible_cpus(), static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_CONF)));
    EXPECT_GE(detail::possible_cpus(), static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
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
