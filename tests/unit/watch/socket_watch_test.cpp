// SPDX-License-Identifier: Apache-2.0
// The kernel's side of discovery, with real connections. Needs root.
#include "lib/watch/socket_watch.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/watch/cgroup.hpp"
#include "tests/unit/diag/connections.hpp"
#include "tests/unit/netlink/foreign.hpp"

namespace flowd::watch {
namespace {

using diag::Listener;
using diag::Pair;

class SocketWatchTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root: it loads a BPF program";
        const auto root = find_cgroup("");
        if (!root) GTEST_SKIP() << root.error().message;
        WatchConfig config;
        config.cgroup = *root;
        auto watch = SocketWatch::load(config, [this](const SocketEvent& event) { events_.push_back(event); });
        ASSERT_TRUE(watch.ok()) << watch.error().message;
        watch_.emplace(*std::move(watch));
    }
    /// Rules for connections to the test's listener and no others.
    watch_rule to_listener(std::uint8_t verdict) const {
        watch_rule rule = any_connection();
        rule.remote_low = rule.remote_high = listener_.port();
        rule.verdict = verdict;
        return rule;
    }
    void apply(std::vector<watch_rule> rules) { ASSERT_TRUE(watch_->set_rules(rules).ok()); }
    void attach() {
        const auto attached = watch_->attach();
        ASSERT_TRUE(attached.ok()) << attached.error().message;
    }
    /// Opens and closes one connection in another process, and reads what was told.
    void connect(const char* address = "127.0.0.1", std::size_t bytes = 100, std::size_t back = 0) {
        netlink::Foreign other({[&] {
            Pair pair(listener_, address);
            pair.send(bytes);
            pair.answer(back);
            pair.client.reset();
            pair.server.reset();
        }});
        ASSERT_TRUE(other.step());
        watch_->consume();
    }

    Listener listener_{"::"};
    std::optional<SocketWatch> watch_;
    std::vector<SocketEvent> events_;
};

TEST_F(SocketWatchTest, ReportsOpenAndCloseWithTheTagAndTheExactBytes) {
    watch_rule rule = to_listener(WATCH_TAG);
    rule.experiment = 2;
    rule.activity = 3;
    apply({rule});
    attach();
    connect("127.0.0.1", 12345, 777);
    ASSERT_EQ(events_.size(), 2u);
    EXPECT_TRUE(events_[0].opened);
    EXPECT_TRUE(events_[0].decided);
    EXPECT_FALSE(events_[0].incoming);
    EXPECT_EQ(events_[0].tag.experiment, 2u);
    EXPECT_EQ(events_[0].tag.activity, 3u);
    EXPECT_EQ(events_[0].local.address.to_string(), "127.0.0.1");
    EXPECT_EQ(events_[0].remote.port, listener_.port());
    EXPECT_FALSE(events_[1].opened);
    EXPECT_EQ(events_[1].cookie, events_[0].cookie);
    EXPECT_EQ(events_[1].usage.bytes_sent, 12345u);
    EXPECT_EQ(events_[1].usage.bytes_received, 777u);
    EXPECT_LE(events_[0].time_ns, events_[1].time_ns);
    EXPECT_EQ(watch_->count(WATCH_COUNT_TAGGED), 1u);
}

TEST_F(SocketWatchTest, TheServerSideCountsTheClientsBytesWithoutItsFin) {
    watch_rule rule = any_connection();
    rule.local_low = rule.local_high = listener_.port();
    rule.verdict = WATCH_ASK;
    apply({rule});
    attach();
    connect("::1", 5000, 60);
    ASSERT_EQ(events_.size(), 2u);
    EXPECT_TRUE(events_[0].incoming);
    EXPECT_FALSE(events_[0].decided);
    EXPECT_TRUE(events_[1].fin_received);
    EXPECT_EQ(events_[1].usage.bytes_received, 5000u);
    EXPECT_EQ(events_[1].usage.bytes_sent, 60u);
}

TEST_F(SocketWatchTest, MappedAddressesAreIPv4) {
    apply({to_listener(WATCH_TAG)});
    attach();
    connect("::ffff:127.0.0.1");
    ASSERT_EQ(events_.size(), 2u);
    EXPECT_EQ(events_[0].remote.address.to_string(), "127.0.0.1");
}

TEST_F(SocketWatchTest, TheFirstRuleThatMatchesDecides) {
    watch_rule other_network = to_listener(WATCH_TAG);
    put_network(Network::parse("192.0.2.0/24").value(), other_network.remote_network, other_network.remote_mask);
    watch_rule other_user = to_listener(WATCH_TAG);
    other_user.has_user = 1;
    other_user.user = ::getuid() + 1;
    watch_rule incoming = to_listener(WATCH_TAG);
    incoming.direction = WATCH_INCOMING;
    watch_rule ours = to_listener(WATCH_TAG);
    put_network(Network::parse("127.0.0.0/8").value(), ours.remote_network, ours.remote_mask);
    ours.has_user = 1;
    ours.user = ::getuid();
    ours.direction = WATCH_OUTGOING;
    ours.experiment = 5;
    watch_rule last = to_listener(WATCH_TAG);
    last.experiment = 6;
    apply({other_network, other_user, incoming, ours, last});
    attach();
    connect();
    ASSERT_EQ(events_.size(), 2u);
    EXPECT_EQ(events_[0].tag.experiment, 5u);
    // A new list is in force at once.
    apply({to_listener(WATCH_IGNORE), last});
    connect();
    EXPECT_EQ(events_.size(), 2u);
    apply({});
    connect();
    EXPECT_EQ(events_.size(), 2u);
}

TEST_F(SocketWatchTest, TagsOfAListTakeTurns) {
    const std::vector<flowd_tag> tags{{1, 10}, {2, 20}, {3, 30}};
    ASSERT_TRUE(watch_->set_tags(tags, false).ok());
    apply({to_listener(WATCH_NEXT)});
    attach();
    std::map<std::uint32_t, int> seen;
    for (int i = 0; i < 9; ++i) {
        events_.clear();
        connect();
        ASSERT_EQ(events_.size(), 2u);
        EXPECT_EQ(events_[0].tag.activity, events_[0].tag.experiment * 10);
        EXPECT_EQ(events_[1].tag.experiment, events_[0].tag.experiment) << "one tag for the life of a connection";
        ++seen[events_[0].tag.experiment];
    }
    EXPECT_EQ(seen, (std::map<std::uint32_t, int>{{1, 3}, {2, 3}, {3, 3}}));
}

TEST_F(SocketWatchTest, AControlGroupIncludesItsDescendants) {
    const std::string group = cgroup_root() + "/flowd-test-" + std::to_string(::getpid());
    const std::string below = group + "/below";
    ASSERT_EQ(::mkdir(group.c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(below.c_str(), 0755), 0);
    struct stat status {};
    ASSERT_EQ(::stat(group.c_str(), &status), 0);
    watch_rule rule = to_listener(WATCH_TAG);
    rule.cgroup = status.st_ino;
    apply({rule});
    attach();
    connect();
    EXPECT_TRUE(events_.empty()) << "it was in another group";
    {
        netlink::Foreign other({[&] {
            std::ofstream(below + "/cgroup.procs") << ::getpid() << std::flush;
            Pair pair(listener_, "127.0.0.1");
            pair.send(1);
        }});
        ASSERT_TRUE(other.step());
        watch_->consume();
        EXPECT_EQ(events_.size(), 2u);
    }
    ::rmdir(below.c_str());
    ::rmdir(group.c_str());
}

TEST_F(SocketWatchTest, ItsOwnProcessIsIgnored) {
    apply({to_listener(WATCH_TAG)});
    attach();
    Pair pair(listener_, "127.0.0.1");
    pair.reset();
    watch_->consume();
    EXPECT_TRUE(events_.empty());
}

TEST_F(SocketWatchTest, AFailedConnectionIsNotReported) {
    watch_rule rule = any_connection();
    rule.remote_low = rule.remote_high = 1;  // nobody listens there
    rule.verdict = WATCH_TAG;
    apply({rule});
    attach();
    netlink::Foreign other({[&] {
        const UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
        sockaddr_storage storage{};
        const socklen_t size = Listener::storage_of("127.0.0.1", 1, storage);
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) == 0)
            throw std::runtime_error("connected");
    }});
    ASSERT_TRUE(other.step());
    watch_->consume();
    EXPECT_TRUE(events_.empty());
}

TEST(Cgroup, IsFoundWhereItIsMounted) {
    const std::string root = cgroup_root();
    if (root.empty()) GTEST_SKIP() << "no cgroup2 here";
    EXPECT_EQ(*find_cgroup(""), root);
    EXPECT_EQ(*find_cgroup("/sys/fs/cgroup"), root) << "where configurations expect it";
    EXPECT_EQ(*find_cgroup(root), root);
    const auto none = find_cgroup("/tmp");
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.error().hint.find(root), std::string::npos);
}

TEST(Cgroup, OfAPrivateNamespaceIsRefusedWithARemedyUnlessOneBelowIsNamed) {
    const std::string root = cgroup_root();
    if (root.empty() || ::geteuid() != 0) GTEST_SKIP() << "needs root and control groups of version 2";
    EXPECT_TRUE(open_cgroup(root).ok()) << "the host's own view";
    const std::string group = root + "/flowd-test-private-" + std::to_string(::getpid());
    ASSERT_TRUE(std::filesystem::create_directory(group));
    // A container's view, as a runtime makes it: in the group, a cgroup namespace, its own mount.
    const std::string enter = "echo $$ > " + group + "/cgroup.procs && exec unshare --cgroup --mount sh -c 'umount -l " +
                              root + "; mkdir -p " + root + " 2>/dev/null; mount -t cgroup2 none " + root +
                              " && exec \"$0\" \"$@\"' ";
    std::error_code error;
    const std::string self = std::filesystem::read_symlink("/proc/self/exe", error);
    const std::string inside =
        enter + self + " --gtest_also_run_disabled_tests --gtest_filter=Cgroup.DISABLED_InsideAPrivateNamespace";
    EXPECT_EQ(std::system(inside.c_str()), 0);
    for (int i = 0; i < 100 && ::rmdir(group.c_str()) != 0; ++i) ::usleep(10'000);
}

/// Run by the test before, where it is meant to be.
TEST(Cgroup, DISABLED_InsideAPrivateNamespace) {
    const std::string root = cgroup_root();
    const auto refused = open_cgroup(root);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, FLOWD_UNSUPPORTED);
    EXPECT_NE(refused.error().message.find("cgroup namespace"), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().hint.find("--cgroupns=host"), std::string::npos) << refused.error().hint;
    ASSERT_TRUE(std::filesystem::create_directory(root + "/below"));
    EXPECT_TRUE(open_cgroup(root + "/below").ok()) << "whoever names a part wants it";
    ::rmdir((root + "/below").c_str());
}

}  // namespace
}  // namespace flowd::watch
