// SPDX-License-Identifier: Apache-2.0
// Real connections of another process, found by the plugin.
#include "plugins/netlink/netlink.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "flowd/testing.hpp"
#include "tests/unit/diag/connections.hpp"
#include "tests/unit/net/own_socket.hpp"
#include "tests/unit/netlink/foreign.hpp"

namespace flowd::netlink {
namespace {

using diag::Listener;
using diag::Pair;
using testing::Config;
using testing::FakeHost;
using testing::Instance;
using testing::RecordedEvent;

constexpr const char* client = "127.0.0.1";

/// What the child knows and the test has to: in memory that both see.
struct Told {
    std::uint16_t ports[4096];
};

/// Everything holds with the kernel telling opens (early) and without.
class NetlinkTest : public ::testing::TestWithParam<bool> {
  protected:
    NetlinkTest()
        : told_(static_cast<Told*>(
              ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
    ~NetlinkTest() override {
        plugin_.reset();
        ::munmap(told_, sizeof(Told));
    }
    /// Announces what goes to the listener's port with tag 2/3, and nothing else on this machine.
    Config config() {
        return Config(component<Netlink>())
            .set("ignorePrivate", "false")
            .set("period", "1h")
            .set("early", GetParam() ? "true" : "false")
            .set("rules[0].remotePorts", {std::to_string(listener_->port()).c_str()})
            .set("rules[0].experiment", "2")
            .set("rules[0].activity", "3");
    }
    [[nodiscard]] bool early() const { return plugin_->status().find("\"state\":\"on\"") != std::string::npos; }
    void start(Config config) {
        plugin_ = std::make_unique<Instance>(host_, component<Netlink>(), std::move(config));
        ASSERT_EQ(plugin_->bring_up(), FLOWD_OK);
    }
    /// How much of what is there a plugin of its own announces.
    static std::size_t announced(Config config, const std::vector<flowd_socket>& own = {}) {
        FakeHost host;
        for (const flowd_socket& socket : own) host.add_socket(socket);
        Instance plugin(host, component<Netlink>(), std::move(config));
        EXPECT_EQ(plugin.bring_up(), FLOWD_OK);
        return host.events().size();
    }
    void look() { host_.advance(std::chrono::hours(1)); }
    /// The client's end, as the core tells of it.
    static flowd_socket own_socket_of(const Pair& pair) {
        return net::own_socket(IPPROTO_TCP, pair.client_end(), pair.server_end(), 0, diag::cookie_of(pair.client.get()));
    }
    bool wait_for_events(std::size_t count) {
        return host_.run_until([&] { return host_.events().size() >= count; });
    }

    FakeHost host_;
    std::unique_ptr<Instance> plugin_;
    Told* const told_;
    // Made here so that the test knows its port, used by the child.
    std::unique_ptr<Listener> listener_ = std::make_unique<Listener>("::");
};

TEST_P(NetlinkTest, AnnouncesExistingConnectionsWithTheTagOfTheirRule) {
    std::unique_ptr<Pair> pair;
    Foreign other({[&] {
        pair = std::make_unique<Pair>(*listener_, client);
        told_->ports[0] = pair->client_end().port;
    }});
    ASSERT_TRUE(other.step());
    start(config());
    const auto events = host_.events();
    ASSERT_EQ(events.size(), 1u);
    const flowd_event& event = events[0].event;
    EXPECT_EQ(event.kind, std::uint32_t{FLOWD_EVENT_START});
    EXPECT_EQ(source_of(event.key), (Endpoint{Address::parse(client).value(), told_->ports[0]}));
    EXPECT_EQ(destination_of(event.key).port, listener_->port());
    EXPECT_EQ(event.tag.experiment, 2u);
    EXPECT_EQ(event.tag.activity, 3u);
    EXPECT_EQ(event.local, FLOWD_LOCAL_SOURCE);
    EXPECT_EQ(event.initiator, FLOWD_INITIATOR_SOURCE) << "the other port listens";
}

TEST_P(NetlinkTest, WithoutAnnounceExistingOnlyNewConnectionsAreAnnounced) {
    std::vector<std::unique_ptr<Pair>> pairs;
    const auto open = [&] { pairs.push_back(std::make_unique<Pair>(*listener_, client)); };
    Foreign other({open, open, [&] { pairs.clear(); }});
    ASSERT_TRUE(other.step());
    start(config().set("announceExisting", "false"));
    EXPECT_TRUE(host_.events().empty());
    ASSERT_TRUE(other.step());
    look();
    EXPECT_EQ(host_.events().size(), 1u);
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(2));
    look();
    EXPECT_EQ(host_.events().size(), 2u) << "the end of the one that was there is nobody's";
}

TEST_P(NetlinkTest, ACloseIsAnnouncedAtOnceWithItsCounts) {
    std::unique_ptr<Pair> pair;
    Foreign other({[&] { pair = std::make_unique<Pair>(*listener_, client); },
                   [&] {
                       pair->send(54321);
                       pair->server.reset();
                       pair->client.reset();
                   }});
    ASSERT_TRUE(other.step());
    start(config());
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(2)) << "no look was due";
    const flowd_event event = host_.events()[1].event;
    EXPECT_EQ(event.kind, std::uint32_t{FLOWD_EVENT_END});
    EXPECT_TRUE(event.usage.known & FLOWD_USAGE_BYTES);
    EXPECT_EQ(event.usage.bytes_sent, 54321u);
    EXPECT_LE(event.start_time_ns, event.end_time_ns);
}

TEST_P(NetlinkTest, ShortConnectionsAreAnnouncedOnceEachWithTheirBytes) {
    constexpr int connections = 500;
    Foreign other({[&] {
        for (int i = 0; i < connections; ++i) {
            Pair pair(*listener_, client);
            told_->ports[i] = pair.client_end().port;
            pair.send(static_cast<std::size_t>(i + 1));
            pair.answer(static_cast<std::size_t>(2 * i));
            (i % 2 == 0 ? pair.client : pair.server).reset();
        }
    }});
    start(config());
    ASSERT_TRUE(other.begin());
    ASSERT_TRUE(wait_for_events(2 * connections));
    look();
    std::map<std::uint16_t, std::vector<RecordedEvent>> by_port;
    for (const RecordedEvent& event : host_.events()) by_port[source_of(event->key).port].push_back(event);
    ASSERT_EQ(by_port.size(), std::size_t{connections});
    for (int i = 0; i < connections; ++i) {
        const auto& pair = by_port[told_->ports[i]];
        ASSERT_EQ(pair.size(), 2u) << i;
        EXPECT_EQ(pair[0]->kind, std::uint32_t{FLOWD_EVENT_START});
        EXPECT_EQ(pair[1]->kind, std::uint32_t{FLOWD_EVENT_END});
        EXPECT_EQ(pair[1]->usage.bytes_sent, static_cast<std::uint64_t>(i + 1));
        const auto received = static_cast<std::uint64_t>(2 * i);
        if (early())
            EXPECT_EQ(pair[1]->usage.bytes_received, received);
        else  // nothing tells whether the peer's FIN came, which counts as a byte
            EXPECT_LE(pair[1]->usage.bytes_received - received, 1u);
        EXPECT_EQ(pair[0]->tag.experiment, 2u);
        EXPECT_LE(pair[0]->start_time_ns, pair[1]->end_time_ns);
    }
}

TEST_P(NetlinkTest, WithTheBpfProgramAnOpenIsAnnouncedAtOnce) {
    std::unique_ptr<Pair> pair;
    std::int64_t* const opened = reinterpret_cast<std::int64_t*>(told_->ports);
    Foreign other({[&] {
        pair = std::make_unique<Pair>(*listener_, client);
        *opened = unix_time_ns();
    }});
    start(config());
    if (!early()) GTEST_SKIP() << "without it a look finds it";
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(1)) << "no look was due";
    EXPECT_EQ(host_.events()[0]->initiator, FLOWD_INITIATOR_SOURCE);
    EXPECT_LE(host_.events()[0]->start_time_ns, *opened + 1'000'000);
    look();
    look();
    EXPECT_EQ(host_.events().size(), 1u) << "a look knows it already";
}

TEST_P(NetlinkTest, ARuleThatTheBpfProgramCannotDecideIsDecidedByThePlugin) {
    std::unique_ptr<Pair> pair;
    Foreign other({[&] { pair = std::make_unique<Pair>(*listener_, client); }});
    start(config().set("rules[0].interface", "lo").set("announceExisting", "false"));
    ASSERT_TRUE(other.step());
    look();
    ASSERT_TRUE(wait_for_events(1));
    EXPECT_EQ(host_.events()[0]->tag.experiment, 2u);
}

TEST_P(NetlinkTest, ReusedPortsAreANewFlow) {
    std::unique_ptr<Pair> pair;
    Foreign other({[&] {
                       pair = std::make_unique<Pair>(*listener_, client);
                       told_->ports[0] = pair->client_end().port;
                       pair->send(1000);
                   },
                   [&] {
                       pair->reset();
                       pair = std::make_unique<Pair>(*listener_, client, told_->ports[0]);
                       pair->send(7);
                   },
                   [&] { pair.reset(); }});
    ASSERT_TRUE(other.step());
    start(config());
    ASSERT_TRUE(other.step());
    look();
    ASSERT_TRUE(wait_for_events(3));
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(4));
    const auto events = host_.events();
    const std::vector<std::uint32_t> kinds{events[0]->kind, events[1]->kind, events[2]->kind, events[3]->kind};
    EXPECT_EQ(kinds, (std::vector<std::uint32_t>{FLOWD_EVENT_START, FLOWD_EVENT_END, FLOWD_EVENT_START, FLOWD_EVENT_END}));
    EXPECT_EQ(events[3]->usage.bytes_sent, 7u) << "the last counts are those of the second connection";
}

TEST_P(NetlinkTest, AfterLostNotificationsADumpFindsMissingConnections) {
    std::vector<std::unique_ptr<Pair>> pairs;
    Foreign other({[&] {
                       for (int i = 0; i < 300; ++i) pairs.push_back(std::make_unique<Pair>(*listener_, client));
                   },
                   [&] {
                       for (auto& pair : pairs) pair->reset();
                   }});
    ASSERT_TRUE(other.step());
    start(config().set("receiveBuffer", "4096"));
    ASSERT_EQ(host_.events().size(), 300u);
    ASSERT_TRUE(other.step());  // nobody reads meanwhile
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (diag::netlink_drops() == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    const auto ended = [&] { return host_.events().size() >= 600; };
    for (int i = 0; i < 1000 && !ended(); ++i) {
        host_.run_until([&] { return ended(); }, std::chrono::milliseconds(10));
        host_.advance(std::chrono::milliseconds(20));
    }
    ASSERT_EQ(host_.events().size(), 600u);
    EXPECT_NE(plugin_->status().find("\"losses\":"), std::string::npos);
    EXPECT_EQ(plugin_->status().find("\"missing\":0,"), std::string::npos) << "some were found by the look";
    std::map<std::uint16_t, int> events_of;
    for (const RecordedEvent& event : host_.events()) ++events_of[source_of(event->key).port];
    for (const auto& [port, count] : events_of) EXPECT_EQ(count, 2) << port;
}

TEST_P(NetlinkTest, ConnectionsWithDelayedNotificationsAreAnnouncedOnce) {
    constexpr int connections = 5000;
    std::vector<std::unique_ptr<Pair>> pairs;
    Foreign other({[&] {
                       const rlimit room{3 * connections, 3 * connections};
                       ::setrlimit(RLIMIT_NOFILE, &room);
                       for (int i = 0; i < connections; ++i) pairs.push_back(std::make_unique<Pair>(*listener_, client));
                   },
                   [&] {
                       for (auto& pair : pairs) pair->reset();
                   }});
    ASSERT_TRUE(other.step());
    start(config().set("receiveBuffer", "67108864"));
    ASSERT_EQ(host_.events().size(), std::size_t{connections});
    ASSERT_TRUE(other.step());
    for (int i = 0; i < 10; ++i) look();  // a slow machine: looks come due before the notifications have been read
    ASSERT_TRUE(wait_for_events(2 * connections));
    look();
    std::map<std::uint16_t, int> events_of;
    int without_counts = 0;
    for (const RecordedEvent& event : host_.events()) {
        ++events_of[source_of(event->key).port];
        if (event->kind == FLOWD_EVENT_END && event->usage.known == 0) ++without_counts;
    }
    EXPECT_EQ(events_of.size(), std::size_t{connections});
    for (const auto& [port, count] : events_of) EXPECT_EQ(count, 2) << port;
    EXPECT_EQ(without_counts, 0) << "what closed is told with the kernel's last counts, not found missing";
}

TEST_P(NetlinkTest, WithFullQueuesNothingIsLost) {
    std::vector<std::unique_ptr<Pair>> pairs;
    Foreign other({[&] {
                       for (int i = 0; i < 20; ++i) pairs.push_back(std::make_unique<Pair>(*listener_, client));
                   },
                   [&] { pairs.clear(); }});
    ASSERT_TRUE(other.step());
    host_.accept(5);
    start(config());
    EXPECT_EQ(host_.events().size(), 5u);
    host_.accept(1'000'000);
    plugin_->on_room();
    for (int i = 0; i < 100 && host_.events().size() < 20; ++i) host_.advance(std::chrono::milliseconds(20));
    EXPECT_EQ(host_.events().size(), 20u);
    host_.accept(3);
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(23));
    host_.accept(1'000'000);
    plugin_->on_room();
    ASSERT_TRUE(wait_for_events(40));
}

TEST_P(NetlinkTest, ConnectedUdpSocketsAreFlowsWhenAskedFor) {
    UniqueFd sender, receiver;
    Foreign other({[&] {
                       receiver.reset(diag::must(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
                       Listener::bind_to(receiver.get(), client, listener_->port());
                       sender.reset(diag::must(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
                       sockaddr_storage to{};
                       const socklen_t size = Listener::storage_of(client, listener_->port(), to);
                       diag::must(::connect(sender.get(), reinterpret_cast<const sockaddr*>(&to), size), "connect");
                       told_->ports[0] = diag::own_end(sender.get()).port;
                   },
                   [&] { sender.reset(); }});
    ASSERT_TRUE(other.step());
    EXPECT_EQ(announced(config()), 0u) << "TCP alone is looked at";
    start(config().set("udp", "true"));
    ASSERT_EQ(host_.events().size(), 1u) << "and the socket that is not connected is nobody's flow";
    EXPECT_EQ(host_.events()[0]->key.protocol, IPPROTO_UDP);
    EXPECT_EQ(source_of(host_.events()[0]->key).port, told_->ports[0]);
    ASSERT_TRUE(other.step());
    ASSERT_TRUE(wait_for_events(2));
    EXPECT_EQ(host_.events()[1]->kind, std::uint32_t{FLOWD_EVENT_END});
    EXPECT_EQ(host_.events()[1]->usage.known & FLOWD_USAGE_BYTES, 0u) << "the kernel counts no bytes of it";
}

TEST_P(NetlinkTest, OwnAndInternalConnectionsAreNotAnnounced) {
    const Pair own(*listener_, client);
    const std::vector daemon{own_socket_of(own)};
    std::unique_ptr<Pair> pair;
    Foreign other({[&] { pair = std::make_unique<Pair>(*listener_, client); }});
    EXPECT_EQ(announced(config(), daemon), 0u) << "the daemon's own traffic";
    ASSERT_TRUE(other.step());
    EXPECT_EQ(announced(config(), daemon), 1u) << "another's";
    EXPECT_EQ(announced(config().set("internalNetworks", {"127.0.0.0/8"})), 0u);
    EXPECT_EQ(announced(config().set("ignorePrivate", "true")), 0u);
}

TEST_P(NetlinkTest, AConnectionThatTheDaemonOpensBetweenDumpsIsNotAnnounced) {
    start(config());
    const Pair own(*listener_, client);
    host_.add_socket(own_socket_of(own));
    std::unique_ptr<Pair> pair;
    Foreign other({[&] {
        pair = std::make_unique<Pair>(*listener_, client);
        told_->ports[0] = pair->client_end().port;
    }});
    ASSERT_TRUE(other.step());
    if (!early()) look();
    ASSERT_TRUE(wait_for_events(1));
    look();
    ASSERT_EQ(host_.events().size(), 1u);
    EXPECT_EQ(source_of(host_.events()[0]->key).port, told_->ports[0]);
}

TEST_P(NetlinkTest, AConnectionToAPortOfTheDaemonIsNotAnnounced) {
    host_.add_socket(
        net::own_socket(IPPROTO_TCP, {Address::parse("::").value(), listener_->port()}, {}, FLOWD_SOCKET_LISTENS));
    std::unique_ptr<Pair> pair;
    Foreign other({[&] { pair = std::make_unique<Pair>(*listener_, client); }});
    ASSERT_TRUE(other.step());
    Config listens = config();
    start(listens.set("rules[0].localPorts", {std::to_string(listener_->port()).c_str()}));
    EXPECT_TRUE(host_.events().empty());
}

TEST_P(NetlinkTest, AtMostMaxConnectionsAreAnnounced) {
    std::vector<std::unique_ptr<Pair>> pairs;
    Foreign other({[&] {
        for (int i = 0; i < 20; ++i) pairs.push_back(std::make_unique<Pair>(*listener_, client));
    }});
    ASSERT_TRUE(other.step());
    start(config().set("maxConnections", "10"));
    EXPECT_EQ(host_.events().size(), 10u);
    EXPECT_NE(plugin_->status().find("\"overLimit\":10"), std::string::npos) << plugin_->status();
    const std::string summary =
        early() ? "announces 10 connections, found as they open" : "announces 10 connections, found by a look every 3600 s";
    EXPECT_EQ(plugin_->status().find("{\"summary\":\"" + summary + "\","), 0u) << plugin_->status();
    const auto refusals = host_.refusals();
    ASSERT_EQ(refusals.size(), 10u) << "the core is told which connections are not announced";
    EXPECT_EQ(refusals[0].reason, "over_limit");
    EXPECT_EQ(refusals[0].sender, "127.0.0.1:" + std::to_string(listener_->port()));
    EXPECT_EQ(refusals[0].first.find("connection of 127.0.0.1:"), 0u);
}

TEST_P(NetlinkTest, AShortConnectionWithUnknownOwnerIsRefusedIfARuleNeedsTheOwner) {
    Foreign other({[&] {
        Pair pair(*listener_, client);
        told_->ports[0] = pair.client_end().port;
        pair.send(100);
    }});
    start(config().set("rules[0].user", std::to_string(::geteuid()).c_str()));
    ASSERT_TRUE(other.step());
    if (early()) {
        ASSERT_TRUE(wait_for_events(2)) << "the kernel tells the owner as the connection opens";
        EXPECT_TRUE(host_.refusals().empty());
        return;
    }
    ASSERT_TRUE(host_.run_until([&] { return !host_.refusals().empty(); }));
    const auto refusals = host_.refusals();
    ASSERT_EQ(refusals.size(), 1u);
    EXPECT_EQ(refusals[0].reason, "undecided");
    EXPECT_EQ(refusals[0].sender, "127.0.0.1:" + std::to_string(listener_->port()));
    EXPECT_EQ(refusals[0].first, "connection of 127.0.0.1:" + std::to_string(told_->ports[0]));
    EXPECT_NE(plugin_->status().find("\"undecided\":1"), std::string::npos) << plugin_->status();
    look();
    EXPECT_TRUE(host_.events().empty()) << "it does not get the tag of a later rule, or any";
}

INSTANTIATE_TEST_SUITE_P(Early, NetlinkTest, ::testing::Bool(),
                         [](const auto& with) { return with.param ? std::string("on") : std::string("off"); });

}  // namespace
}  // namespace flowd::netlink
