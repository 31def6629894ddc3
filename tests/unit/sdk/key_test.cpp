// SPDX-License-Identifier: Apache-2.0
#include "flowd/key.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flowd/address.hpp"

namespace flowd {
namespace {

flowd_key key_of(std::uint32_t number) {
    const auto port = static_cast<std::uint16_t>(1 + number % 60000);
    return make_key({*Address::parse(number % 2 == 0 ? "2001:db8::1" : "192.0.2.1"), port},
                    {*Address::parse("2001:db8::2"), static_cast<std::uint16_t>(1 + number / 60000)}, 6);
}

flowd_key reversed(const flowd_key& key) {
    flowd_key made = make_key(destination_of(key), source_of(key), key.protocol);
    made.scope = key.scope;
    made.zone = key.zone;
    return made;
}

/// Keys that differ from the first one in one member each.
std::vector<flowd_key> different_keys() {
    std::vector<flowd_key> keys(7, key_of(1));
    keys[1].protocol = 17;
    keys[2].scope = 1;
    keys[3].zone = 1;
    keys[4].source_port = 3;
    keys[5].destination_port = 3;
    keys[6].destination[0] = 9;
    return keys;
}

TEST(KeyHash, IsTheSameForBothDirectionsAndDiffersOtherwise) {
    const KeyHash hash(12345);
    std::map<std::uint64_t, int> seen;
    for (std::uint32_t i = 0; i < 100'000; ++i) {
        const flowd_key key = key_of(i);
        ASSERT_EQ(hash(key), hash(reversed(key)));
        ++seen[hash(key)];
    }
    EXPECT_EQ(seen.size(), 100'000u);
    for (const flowd_key& key : different_keys()) ++seen[KeyHash(1)(key)];
    EXPECT_EQ(seen.size(), 100'007u);
    flowd_key swapped = key_of(7);
    std::swap(swapped.source_port, swapped.destination_port);
    EXPECT_NE(hash(swapped), hash(key_of(7))) << "the ports alone, swapped, are another flow";
}

TEST(KeyHash, HasOneRandomSeedInAModule) {
    EXPECT_EQ(KeyHash()(key_of(1)), KeyHash()(key_of(1)));
    EXPECT_NE(KeyHash()(key_of(1)), KeyHash(0)(key_of(1)));
}

TEST(KeyHash, NoPartThatASenderChoosesHidesTheOthers) {
    const KeyHash hash(12345);
    for (const char* const half : {"9e37:79b9:7f4a:7c15", "157c:4a7f:b979:379e", "0:0:0:0", "ffff:ffff:ffff:ffff"}) {
        std::set<std::uint64_t> seen;
        for (int i = 0; i < 1'000; ++i) {
            const auto address = Address::parse("2001:db8:0:" + std::to_string(i) + ":" + half);
            seen.insert(hash(make_key({*address, 1}, {*Address::parse("2001:db8::2"), 2}, 17)));
        }
        EXPECT_EQ(seen.size(), 1'000u) << "a host with the interface identifier " << half;
    }
    std::set<std::uint64_t> seen;
    for (std::uint32_t i = 0; i < 1'000; ++i) {
        flowd_key key = key_of(i);
        key.protocol = 0;
        key.scope = 1;
        seen.insert(hash(key));
    }
    EXPECT_EQ(seen.size(), 1'000u);
}

TEST(Match, TellsTheDirections) {
    EXPECT_EQ(match(key_of(1), key_of(1)), Match::same);
    EXPECT_EQ(match(key_of(1), reversed(key_of(1))), Match::reversed);
    const auto keys = different_keys();
    for (std::size_t i = 1; i < keys.size(); ++i) EXPECT_EQ(match(keys[0], keys[i]), Match::none) << i;
}

TEST(KeyLess, IsAStrictOrderThatIgnoresTheDirection) {
    std::vector<flowd_key> keys = different_keys();
    for (std::uint32_t i = 2; i < 50; ++i) keys.push_back(key_of(i * 997));
    const KeyLess less;
    for (const flowd_key& a : keys) {
        EXPECT_FALSE(less(a, a));
        EXPECT_FALSE(less(a, reversed(a)) || less(reversed(a), a));
        for (const flowd_key& b : keys) {
            EXPECT_EQ(less(a, b), less(reversed(a), b));
            EXPECT_EQ(less(a, b) || less(b, a), !KeyEqual{}(a, b));
        }
    }
}

TEST(Key, IsFoundInContainersInEitherDirection) {
    std::unordered_map<flowd_key, int, KeyHash, KeyEqual> unordered{{key_of(1), 1}, {key_of(2), 2}};
    std::map<flowd_key, int, KeyLess> ordered(unordered.begin(), unordered.end());
    EXPECT_EQ(unordered.at(reversed(key_of(2))), 2);
    EXPECT_EQ(ordered.at(reversed(key_of(2))), 2);
    EXPECT_EQ(unordered.count(key_of(3)) + ordered.count(key_of(3)), 0u);
}

}  // namespace
}  // namespace flowd
