// SPDX-License-Identifier: Apache-2.0
#include "lib/net/lookup.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>

#include "tests/unit/resolver.hpp"

namespace flowd::net {
namespace {

std::optional<Lookup::Answer> wait_for(Lookup& lookup) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    auto answer = lookup.poll();
    while (!answer && std::chrono::steady_clock::now() < end) {
        (void)::poll(nullptr, 0, 5);
        answer = lookup.poll();
    }
    return answer;
}

TEST(SystemLookup, FindsTheLocalHost) {
    FLOWD_NEEDS_RESOLVER();
    const auto lookup = system_lookup();
    EXPECT_FALSE(lookup->pending());
    lookup->begin("localhost");
    EXPECT_TRUE(lookup->pending());
    const auto answer = wait_for(*lookup);
    ASSERT_TRUE(answer && *answer);
    for (const Address& address : **answer) EXPECT_TRUE(address.is_loopback()) << address.to_string();
    EXPECT_FALSE(lookup->pending());
    EXPECT_FALSE(lookup->poll()) << "an answer comes once";
}

TEST(SystemLookup, NamesWhatItCannotFind) {
    FLOWD_NEEDS_RESOLVER();
    const auto lookup = system_lookup();
    lookup->begin("no-such-host.invalid");
    const auto answer = wait_for(*lookup);
    ASSERT_TRUE(answer);
    ASSERT_FALSE(*answer);
    EXPECT_NE(answer->error().message.find("no-such-host.invalid"), std::string::npos);
}

TEST(SystemLookup, MayBeLeftUnderWay) {
    FLOWD_NEEDS_RESOLVER();
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 4; ++i) {
        const auto lookup = system_lookup();
        lookup->begin("no-such-host.invalid");
    }
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(30)) << "nothing waits for a resolver";
}

}  // namespace
}  // namespace flowd::net
