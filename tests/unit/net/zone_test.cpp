// SPDX-License-Identifier: Apache-2.0
#include "lib/net/zone.hpp"

#include <gtest/gtest.h>
#include <net/if.h>

#include <string>

#include "lib/net/target.hpp"
#include "tests/unit/net/fake_lookup.hpp"
#include "tests/unit/net/loopback.hpp"

namespace flowd::net {
namespace {

TEST(Zone, FollowsThePercentSignOfAnAddress) {
    EXPECT_EQ(zone_of("fe80::1%eth0"), "eth0");
    EXPECT_EQ(zone_of("[fe80::1%eth0.3455]"), "eth0.3455");
    EXPECT_EQ(zone_of("fe80::1%3"), "3");
    for (const char* none : {"fe80::1", "192.0.2.1", "collector.example.org", "100%", "fe80::1%", ""})
        EXPECT_EQ(zone_of(none), "") << none;
}

TEST(Zone, NamesAnInterfaceByNameOrNumber) {
    EXPECT_EQ(interface_of("lo"), ::if_nametoindex("lo"));
    EXPECT_EQ(interface_of(std::to_string(::if_nametoindex("lo"))), ::if_nametoindex("lo"));
    for (const char* none : {"nosuchif", "999999", "0", "", "1x", "-1", "a/b"}) EXPECT_EQ(interface_of(none), 0u) << none;
}

// case C25
TEST(Zone, OfAHostIsChecked) {
    const auto judge = [](const char* host) {
        std::string verdict = "good";
        flowd_problems sink{sizeof sink, 0, &verdict, [](const flowd_problems* to, const flowd_problem* problem) {
                                *static_cast<std::string*>(to->context) =
                                    (problem->level == FLOWD_LEVEL_ERROR ? "error: " : "warning: ") +
                                    std::string(to_view(problem->message)) + "; " + std::string(to_view(problem->hint));
                            }};
        Problems problems(&sink);
        validate_host(host, "collectorAddress", problems);
        return verdict;
    };
    for (const char* good :
         {"fe80::1%lo", "[fe80::1%lo]", "fe80::1%1", "2001:db8::1", "192.0.2.1", "169.254.1.1", "a.example.org"})
        EXPECT_EQ(judge(good), "good") << good;
    EXPECT_EQ(judge("fe80::1"),
              "error: fe80::1 is link-local and needs the interface that it is reached through; write fe80::1%INTERFACE, "
              "for example fe80::1%eth0");
    EXPECT_EQ(judge("2001:db8::1%lo"),
              "error: only link-local addresses have a zone, '2001:db8::1%lo' is none; write 2001:db8::1");
    EXPECT_EQ(judge("fe80::1%a/b"), "error: 'a/b' is not a valid name of an interface; `ip -brief link` lists them");
    EXPECT_EQ(judge("fe80::1%eno1np0@if3"),
              "error: 'eno1np0@if3' is how `ip link` shows an interface and its peer; write eno1np0");  // case C35
    EXPECT_EQ(judge("ff02::1"), "error: 'ff02::1' is not the address of a single host; write its name or its address");
    EXPECT_EQ(judge("fe80::1%later0"),
              "warning: there is no interface 'later0' now; nothing is sent until there is one; see: ip link");
}

TEST(Target, HasTheZoneOfItsAddressInItsName) {
    EXPECT_EQ(Target::name_of("FE80:0::1%eth0", 10514), "[fe80::1%eth0]:10514");
    EXPECT_EQ(Target::name_of("collector%x", 10514), "collector%x:10514");
}

TEST(Target, WaitsForTheInterfaceOfItsZone) {
    Target target("fe80::1%later0", 10514);
    const auto now = Target::Clock::now();
    const auto due = target.tick(now, [](const Endpoint&) { return false; });
    EXPECT_EQ(target.trouble(), "there is no interface 'later0'");
    EXPECT_EQ(target.state(), Target::State::resolving) << "what comes, waits";
    EXPECT_EQ(due - now, std::chrono::seconds(1)) << "and it looks again";
}

TEST(Target, ANameWithALinkLocalAddressNeedsAZone) {
    auto script = std::make_shared<FakeLookup::Script>();
    Target target("collector.example.org", 10514, std::make_unique<FakeLookup>(script));
    const auto forbidden = [](const Endpoint&) { return false; };
    const auto now = Target::Clock::now();
    target.tick(now, forbidden);
    script->give({"fe80::1"});
    target.tick(now + std::chrono::seconds(1), forbidden);
    EXPECT_EQ(target.trouble(), "fe80::1 is link-local: name the interface, fe80::1%eth0");
}

}  // namespace
}  // namespace flowd::net
