// SPDX-License-Identifier: Apache-2.0
// The kernel's rules decide as the plugin's do. The BPF program itself: tests/unit/watch.
#include "plugins/netlink/kernel_rules.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace flowd::netlink {
namespace {

/// What watch_decide in bpf/watch.bpf.c does, for a socket in the group `group` alone.
const watch_rule* first_match(const std::vector<watch_rule>& rules, const Facts& facts) {
    __u64 local[2], remote[2];
    std::memcpy(local, facts.local.address.bytes().data(), 16);
    std::memcpy(remote, facts.remote.address.bytes().data(), 16);
    for (const watch_rule& rule : rules) {
        bool matches = facts.local.port >= rule.local_low && facts.local.port <= rule.local_high &&
                       facts.remote.port >= rule.remote_low && facts.remote.port <= rule.remote_high;
        matches = matches && (rule.direction == 0 || rule.direction == static_cast<int>(facts.direction));
        matches =
            matches && (!rule.has_user || rule.user == *facts.user) && (rule.cgroup == 0 || rule.cgroup == *facts.cgroup);
        for (int word = 0; word < 2; ++word)
            matches = matches && (local[word] & rule.local_mask[word]) == rule.local_network[word] &&
                      (remote[word] & rule.remote_mask[word]) == rule.remote_network[word];
        if (matches) return &rule;
    }
    return nullptr;
}

class Chance {
  public:
    bool coin() { return number(2) == 0; }
    unsigned number(unsigned below) { return static_cast<unsigned>(random_() % below); }
    std::string port() { return std::to_string(1 + number(6)); }
    Endpoint end() {
        static const char* const addresses[] = {"192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::1", "2001:db8:1::1"};
        return {Address::parse(addresses[number(5)]).value(), static_cast<std::uint16_t>(1 + number(6))};
    }
    std::vector<Network> networks() {
        static const char* const texts[] = {"192.0.2.0/25", "192.0.2.0/24", "2001:db8::/33", "2001:db8::/32", "0.0.0.0/0"};
        std::vector<Network> list;
        for (unsigned i = number(3); i > 0; --i) list.push_back(Network::parse(texts[number(5)]).value());
        return list;
    }
    std::vector<std::string> ports() {
        std::vector<std::string> list;
        for (unsigned i = number(3); i > 0; --i) list.push_back(coin() ? port() : "2-4");
        return list;
    }

  private:
    std::mt19937 random_{4711};
};

TEST(KernelRules, DecideLikeThePluginsRules) {
    Chance chance;
    Surroundings now;
    now.cgroups[7] = "/groups/a";
    int tagged = 0, ignored = 0;
    for (int round = 0; round < 2000; ++round) {
        std::vector<RuleOptions> options(1 + chance.number(4));
        for (std::size_t i = 0; i < options.size(); ++i) {
            options[i].local_ports = chance.ports();
            options[i].remote_ports = chance.ports();
            options[i].local_networks = chance.networks();
            options[i].remote_networks = chance.networks();
            options[i].direction = static_cast<Direction>(chance.number(3));
            if (chance.number(4) == 0) options[i].user = chance.coin() ? "1" : "2";
            if (chance.number(4) == 0) options[i].cgroup = chance.coin() ? "/groups/a" : "/groups/absent";
            options[i].ignore = chance.number(3) == 0;
            if (!options[i].ignore) options[i].experiment = options[i].activity = static_cast<std::uint32_t>(i + 1);
        }
        const Rules rules(options, chance.coin() ? std::optional(flowd_tag{99, 99}) : std::nullopt);
        const auto kernel = for_kernel(rules, now, {});
        for (int i = 0; i < 20; ++i) {
            const Facts facts{
                chance.end(),         chance.end(),         chance.coin() ? Direction::outgoing : Direction::incoming,
                1 + chance.number(2), 7 + chance.number(2), 0};
            const Decision wanted = rules.decide(facts, now);
            const watch_rule* const rule = first_match(kernel, facts);
            const int verdict = rule == nullptr ? int{WATCH_NONE} : int{rule->verdict};
            if (wanted.kind == Decision::Kind::tagged) {
                ASSERT_EQ(verdict, WATCH_TAG);
                ASSERT_EQ(rule->experiment, wanted.tag.experiment);
                ++tagged;
            } else {
                ASSERT_EQ(verdict, wanted.kind == Decision::Kind::ignored ? WATCH_IGNORE : WATCH_NONE);
                ignored += verdict == WATCH_IGNORE;
            }
        }
    }
    EXPECT_GT(tagged, 1000);
    EXPECT_GT(ignored, 100);
}

TEST(KernelRules, IgnoredNetworksComeBeforeAllRules) {
    const std::vector<Network> left_alone{Network::parse("192.0.2.0/24").value()};
    const auto kernel = for_kernel(Rules({}, flowd_tag{1, 1}), {}, left_alone);
    Facts facts{{Address::parse("198.51.100.7").value(), 1},
                {Address::parse("192.0.2.9").value(), 2},
                Direction::outgoing,
                0,
                0,
                0};
    ASSERT_NE(first_match(kernel, facts), nullptr);
    EXPECT_EQ(first_match(kernel, facts)->verdict, WATCH_IGNORE);
    facts.remote = facts.local;
    EXPECT_EQ(first_match(kernel, facts)->verdict, WATCH_TAG);
}

TEST(KernelRules, ARuleWithAnInterfaceIsLeftToThePlugin) {
    RuleOptions rule;
    rule.interface = "eth0";
    rule.remote_ports = {"443"};
    rule.ignore = true;
    const auto kernel = for_kernel(Rules({rule}, flowd_tag{1, 1}), {}, {});
    ASSERT_EQ(kernel.size(), 2u);
    EXPECT_EQ(kernel[0].verdict, WATCH_ASK);
    EXPECT_EQ(kernel[0].remote_low, 443);
    EXPECT_EQ(kernel[1].verdict, WATCH_TAG);
}

TEST(KernelRules, RulesThatDoNotFitAreLeftToThePlugin) {
    RuleOptions rule;
    for (int port = 1; port <= 400; ++port) rule.remote_ports.push_back(std::to_string(port));
    rule.experiment = rule.activity = 1;
    const auto kernel = for_kernel(Rules({rule}, flowd_tag{2, 2}), {}, {});
    ASSERT_EQ(kernel.size(), std::size_t{WATCH_MAX_RULES});
    EXPECT_EQ(kernel.back().verdict, WATCH_ASK);
    EXPECT_EQ(kernel.back().remote_high, 65535);
}

}  // namespace
}  // namespace flowd::netlink
