// SPDX-License-Identifier: Apache-2.0
#include "lib/net/lookup.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "flowd/unique_fd.hpp"
#include "lib/net/udp_socket.hpp"

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

TEST(SystemLookup, ReportsANameThatDoesNotResolve) {
    const auto lookup = system_lookup();
    lookup->begin("no-such-host.invalid");
    const auto answer = wait_for(*lookup);
    ASSERT_TRUE(answer);
    ASSERT_FALSE(*answer);
    EXPECT_NE(answer->error().message.find("no-such-host.invalid"), std::string::npos);
}

TEST(SystemLookup, MayBeDestroyedDuringALookUp) {
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 4; ++i) {
        const auto lookup = system_lookup();
        lookup->begin("no-such-host.invalid");
    }
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(30)) << "an attempt ends after its time";
}

/// In namespaces of a thread of its own: a name server that receives queries, but does not answer.
TEST(SystemLookup, ASilentNameServerDelaysTheDestructorByItsTimeoutAtMost) {
    std::thread([] {
        char file[] = "/tmp/flowd-resolv.XXXXXX";
        const UniqueFd written(::mkostemp(file, O_CLOEXEC));
        const std::string text = "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n";
        ASSERT_EQ(::write(written.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
        ASSERT_EQ(::unshare(CLONE_NEWNS | CLONE_NEWNET), 0) << "needs root";
        ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        ASSERT_EQ(::mount(file, "/etc/resolv.conf", nullptr, MS_BIND, nullptr), 0);
        ASSERT_EQ(::unlink(file), 0);
        ASSERT_EQ(std::system("ip link set lo up"), 0);
        const auto server = UdpSocket::bound({*Address::parse("127.0.0.1"), 53});
        ASSERT_TRUE(server) << server.error().message;

        auto lookup = system_lookup();
        lookup->begin("collector.example.org");
        pollfd query{server->fd(), POLLIN, 0};
        ASSERT_EQ(::poll(&query, 1, 20'000), 1);
        EXPECT_FALSE(lookup->poll());
        const auto before = std::chrono::steady_clock::now();
        lookup.reset();
        EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(15))
            << "a second, were there no other load";
    }).join();
}

}  // namespace
}  // namespace flowd::net
