// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/fireflyp.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flowd/testing/instance.hpp"
#include "lib/firefly/provenance.hpp"
#include "tests/unit/firefly/fixtures.hpp"
#include "tests/unit/net/foreign_receiver.hpp"
#include "tests/unit/net/loopback.hpp"
#include "tests/unit/net/own_socket.hpp"

namespace flowd::fireflyp {
namespace {

using net::Loopback;
namespace fixtures = firefly::fixtures;

/// The plugin receives at a socket that it is handed, as on a reload or from systemd: no port is fought over.
class FireflypTest : public ::testing::Test {
  protected:
    FireflypTest() : address_(socket_.endpoint()) {
        config_.set("bindAddress", "::1").set("bindPort", std::to_string(address_.port));
        host_.offer_descriptor(resource(), socket_.duplicate());
    }
    [[nodiscard]] std::string resource() const { return "udp:" + address_.to_string(); }
    void bring_up() {
        instance_ = std::make_unique<testing::Instance>(host_, component<Fireflyp>(), config_);
        ASSERT_EQ(instance_->bring_up(), FLOWD_OK);
    }
    void send(std::string_view text) {
        if (!sender_) sender_ = Loopback::must(net::UdpSocket::connected(address_));
        ASSERT_EQ(::send(sender_->fd(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    }
    bool announced(std::size_t count) {
        return host_.run_until([&] { return host_.events().size() >= count; });
    }
    [[nodiscard]] bool shows(const std::string& part) { return instance_->status().find(part) != std::string::npos; }
    bool comes_to_show(const std::string& part) {
        return host_.run_until([&] { return shows(part); });
    }

    Loopback socket_{"::1", 1 << 20};
    Endpoint address_;
    testing::FakeHost host_{"fireflyp"};
    testing::Config config_{component<Fireflyp>()};
    std::unique_ptr<testing::Instance> instance_;
    std::optional<net::UdpSocket> sender_;
};

TEST_F(FireflypTest, AnnouncesTheFlowOfAFirefly) {
    bring_up();
    send(fixtures::dcache_end);
    ASSERT_TRUE(announced(1));
    const auto event = host_.events().at(0);
    EXPECT_EQ(event->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
    EXPECT_EQ(event->flags, static_cast<std::uint32_t>(FLOWD_LEARNT_REMOTELY));
    EXPECT_EQ(source_of(event->key).to_string(), "[2001:db8::1]:35358");
    EXPECT_EQ(event->tag.experiment, 2u);
    EXPECT_EQ(event->usage.bytes_sent, 5368709120u);
    EXPECT_NE(event->start_time_ns, 0);
    EXPECT_EQ(event->time_ns, event->end_time_ns);
    EXPECT_NE(event->sender, 0u);
    EXPECT_EQ(event.application, "remotehttpsdatatransfer");
    ASSERT_EQ(event.attachments.size(), 4u);
    EXPECT_EQ(event.attachments[0].first, "flowd.datagram/1");
    EXPECT_EQ(event.attachments[0].second, fixtures::dcache_end);
    EXPECT_EQ(event.attachments[1].first, "flowd.peer/1");
    EXPECT_EQ(event.attachments[1].second.find("[::1]:"), 0u);
    EXPECT_EQ(event.attachments[2].first, firefly::provenance_attachment);
    EXPECT_EQ(event.attachments[3].first, "flowd.json/storage-stats");
}

TEST_F(FireflypTest, KeepsTheOrderOfArrival) {
    bring_up();
    for (int i = 0; i < 50; ++i) {
        const std::string port = "\"src-port\":" + std::to_string(1000 + i);
        send(fixtures::with("\"src-port\":1234", port));
        send(fixtures::with("\"src-port\":1234", port, fixtures::flowd_go_end));
    }
    ASSERT_TRUE(announced(100));
    const auto events = host_.events();
    for (std::size_t i = 0; i < 100; ++i) {
        EXPECT_EQ(events[i]->key.source_port, 1000 + i / 2);
        EXPECT_EQ(events[i]->kind, static_cast<std::uint32_t>(i % 2 == 0 ? FLOWD_EVENT_START : FLOWD_EVENT_END));
    }
}

TEST_F(FireflypTest, CountsAndLogsDropsOfTheKernel) {
    config_.set("receiveBuffer", "4096");
    bring_up();
    constexpr std::size_t sent = 200;
    for (std::size_t i = 0; i < sent; ++i)  // nobody reads meanwhile
        send(fixtures::with("\"src-port\":1234", "\"src-port\":" + std::to_string(1000 + i)));
    ASSERT_TRUE(announced(1));
    EXPECT_FALSE(host_.logged("the kernel dropped")) << "what came first tells of no drop";
    const std::size_t received = host_.events().size();
    send(fixtures::with("\"src-port\":1234", "\"src-port\":999"));
    ASSERT_TRUE(announced(received + 1));
    ASSERT_LT(received, sent);
    const std::string dropped = std::to_string(sent - received);
    EXPECT_TRUE(host_.logged("the kernel dropped " + dropped + " datagrams")) << "the next datagram says it";
    EXPECT_TRUE(shows("\"kernelDrops\":" + dropped)) << instance_->status();
    for (std::size_t i = 0; i < sent; ++i) send("no datagram follows");
    instance_->stop();
    const double total = host_.metric("fireflyp_kernel_drops_total{bind=\"" + address_.to_string() + "\"}")->value;
    EXPECT_GT(total, static_cast<double>(sent - received)) << "drops that no datagram tells of are asked for";
}

TEST_F(FireflypTest, LogsDropsOfTheKernelOnce) {
    config_.set("receiveBuffer", "4096");
    bring_up();
    constexpr std::size_t sent = 200;
    for (std::size_t i = 0; i < sent; ++i)
        send(fixtures::with("\"src-port\":1234", "\"src-port\":" + std::to_string(1000 + i)));
    ASSERT_FALSE(shows(R"("kernelDrops":0)")) << "somebody looks at status";
    host_.advance(std::chrono::seconds(1));
    ASSERT_TRUE(announced(1));
    const std::size_t received = host_.events().size();
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(announced(received + 1));
    host_.advance(std::chrono::seconds(1));
    std::size_t said = 0;
    for (const auto& line : host_.lines()) said += line.text.find("the kernel dropped") != std::string::npos ? 1 : 0;
    EXPECT_EQ(said, 1u);
    EXPECT_TRUE(host_.logged("the kernel dropped " + std::to_string(sent - received) + " datagrams"));
}

TEST_F(FireflypTest, CountsRefusalsByReasonAndAnnouncesNothing) {
    bring_up();
    send("garbage");
    send("{}");
    send(fixtures::flowd_go_wildcard);
    send(fixtures::with("\"src-port\":1234", "\"src-port\":0"));
    send(std::string(5000, '{'));
    send(std::string(5, '\0'));
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(announced(1));
    EXPECT_EQ(host_.events().size(), 1u);
    EXPECT_TRUE(shows(R"("refused":6)")) << instance_->status();
    EXPECT_TRUE(
        shows(R"("refusals":{"empty":1,"truncated":1,"no_json":1,"missing_member":1,"bad_address":1,"port_zero":1})"))
        << instance_->status();
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.metric(R"(fireflyp_refused_total{reason="port_zero"})")->value, 1);
    EXPECT_EQ(host_.metric("fireflyp_received_total{bind=\"" + address_.to_string() + "\"}")->value, 7);
    EXPECT_EQ(host_.metric(R"(fireflyp_events_total{state="start"})")->value, 1);
}

// case C29
TEST_F(FireflypTest, ADatagramAsLongAsTheBufferIsUnderstoodAndALongerOneIsTruncated) {
    bring_up();
    const std::string_view bare = fixtures::flowd_go_bare;
    for (const std::size_t size : {4095u, 4096u, 4097u, 65507u})  // the JSON is complete, blanks follow
        send(fixtures::with("\"src-port\":1234", "\"src-port\":" + std::to_string(size)) +
             std::string(size - bare.size() - std::to_string(size).size() + 4, ' '));
    ASSERT_TRUE(comes_to_show(R"("received":4)"));
    ASSERT_EQ(host_.events().size(), 2u);
    EXPECT_EQ(host_.events()[0]->key.source_port, 4095);
    EXPECT_EQ(host_.events()[1]->key.source_port, 4096);
    EXPECT_TRUE(shows(R"("refusals":{"truncated":2})")) << instance_->status();
}

// case C30
TEST_F(FireflypTest, ByteOrderMarksAreIgnoredAndOtherEncodingsAreRefusedOneByOne) {
    bring_up();
    const std::string bare(fixtures::flowd_go_bare), mark = "\xef\xbb\xbf";
    const std::string header = "<134>1 2026-02-24T16:56:42Z se - - firefly-json - ";
    std::string utf16;
    for (const char c : bare) utf16 += std::string(1, c) + std::string(1, '\0');
    const auto log = host_.lines().size();
    for (const std::string& wrong : {fixtures::with("flowd-go", std::string("flowd\0go", 8)),  // NUL in a string
                                     fixtures::with("flowd-go", "flowd-\xe9"),                 // Latin-1
                                     utf16, "\xff\xfe" + utf16, bare + "\n" + bare})
        send(wrong);
    for (const std::string& good : {mark + header + bare, header + mark + bare, bare}) send(good);
    ASSERT_TRUE(announced(3));
    EXPECT_EQ(host_.events().size(), 3u);
    EXPECT_TRUE(shows(R"("refused":5,"refusals":{"bad_json":5})")) << instance_->status();
    EXPECT_EQ(host_.lines().size(), log) << "no line per datagram";
}

TEST_F(FireflypTest, StopsReadingWhenTheQueuesAreFullAndLosesNothing) {
    bring_up();
    host_.accept(10);
    for (int i = 0; i < 200; ++i) send(fixtures::with("\"src-port\":1234", "\"src-port\":" + std::to_string(1000 + i)));
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    host_.poll();
    EXPECT_EQ(host_.events().size(), 10u);

    host_.accept(25);
    instance_->on_room();
    EXPECT_EQ(host_.events().size(), 35u) << "what waited goes first";
    EXPECT_TRUE(shows(R"("paused":true)")) << "and full it is again";
    host_.accept_all();
    instance_->on_room();
    ASSERT_TRUE(announced(200));
    const auto events = host_.events();
    ASSERT_EQ(events.size(), 200u) << "none twice";
    for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]->key.source_port, 1000 + i) << "in order";
    EXPECT_TRUE(shows(R"("kernelDrops":0)"));
    EXPECT_TRUE(shows(R"("pauses":1)")) << "it never went on in between";
}

TEST_F(FireflypTest, ShowsCurrentDropsOfTheKernel) {
    const int small = 8192;
    ASSERT_EQ(::setsockopt(socket_.socket().fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    config_.set("receiveBuffer", "0");
    bring_up();
    host_.accept(0);
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    for (int i = 0; i < 1000; ++i) send(fixtures::flowd_go_bare);
    host_.accept_all();
    instance_->on_room();
    host_.poll();
    ASSERT_TRUE(host_.run_until([&] { return !host_.events().empty(); }));
    while (true) {
        const auto before = host_.events().size();
        host_.poll();
        if (host_.events().size() == before) break;
    }
    const auto events = host_.events().size();
    EXPECT_LT(events, 1001u);
    EXPECT_TRUE(shows("\"kernelDrops\":" + std::to_string(1001 - events))) << events << instance_->status();
}

TEST_F(FireflypTest, ContinuesAfterAnEventThatTheCoreRefuses) {
    bring_up();
    host_.accept(0, FLOWD_LIMIT);
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(comes_to_show(R"("notTaken":1)"));
    host_.accept_all();
    send(fixtures::flowd_go_bare);
    EXPECT_TRUE(announced(1));
}

TEST_F(FireflypTest, TakesTheSocketOfItsPredecessorAndKeepsItForASuccessor) {
    bring_up();
    testing::FakeHost other{"fireflyp"};
    other.offer_descriptor(resource(), socket_.duplicate());
    testing::Instance successor(other, component<Fireflyp>(), config_);
    EXPECT_EQ(successor.bring_up(), FLOWD_OK) << "while the predecessor still has the port";
    EXPECT_TRUE(other.keeps(resource()));
    instance_->destroy();
    send(fixtures::flowd_go_bare);
    EXPECT_TRUE(other.run_until([&] { return other.events().size() == 1; }));
}

TEST_F(FireflypTest, NamesTheBusyPort) {
    testing::FakeHost host;
    testing::Instance instance(host, component<Fireflyp>(), config_);
    EXPECT_EQ(instance.bring_up(), FLOWD_BUSY);
    const auto problems = host.problems();
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_NE(problems[0].message.find(address_.to_string()), std::string::npos);
}

TEST_F(FireflypTest, MayBeStoppedTwiceAndWithoutStart) {
    testing::FakeHost host;
    testing::Instance instance(host, component<Fireflyp>(), config_);
    ASSERT_EQ(instance.create(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
}

TEST_F(FireflypTest, RelaysTheOriginalBytesOfValidFireflies) {
    net::ForeignReceiver one, other("127.0.0.1");
    config_.set("fireflyReceivers[0].address", "::1").set("fireflyReceivers[0].port", std::to_string(one.endpoint().port));
    config_.set("fireflyReceivers[1].address", "127.0.0.1")
        .set("fireflyReceivers[1].port", std::to_string(other.endpoint().port));
    bring_up();
    const std::string odd = "\xef\xbb\xbf" + std::string(fixtures::flowd_go_bare) + std::string("\n\0", 2);
    send(odd);
    send("garbage");
    send(fixtures::flowd_go_wildcard);
    send(fixtures::flowd_py_end);
    ASSERT_TRUE(announced(2));
    const std::vector<std::string> expected{odd, std::string(fixtures::flowd_py_end)};
    EXPECT_EQ(one.wait_for(2), expected);
    EXPECT_EQ(other.wait_for(2), expected);
    EXPECT_TRUE(shows(R"("sent":2)"));
}

TEST_F(FireflypTest, DoesNotRelayADuplicate) {
    net::ForeignReceiver receiver;
    config_.set("fireflyReceivers[0].address", "::1")
        .set("fireflyReceivers[0].port", std::to_string(receiver.endpoint().port));
    bring_up();
    for (int i = 0; i < 3; ++i) send(fixtures::flowd_go_bare);
    send(fixtures::flowd_go_end);
    ASSERT_TRUE(announced(4)) << "the flow table knows what to do with repeats";
    EXPECT_EQ(receiver.wait_for(2).size(), 2u);
    EXPECT_TRUE(shows(R"("damped":2)")) << instance_->status();
}

TEST_F(FireflypTest, RelaysEachDatagramOnceEvenIfOfferedTwice) {
    net::ForeignReceiver receiver;
    config_.set("fireflyReceivers[0].address", "::1")
        .set("fireflyReceivers[0].port", std::to_string(receiver.endpoint().port));
    bring_up();
    host_.accept(0);
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    host_.accept_all();
    instance_->on_room();
    ASSERT_TRUE(announced(1));
    EXPECT_EQ(receiver.wait_for(1).size(), 1u);
    EXPECT_TRUE(shows(R"("damped":0)")) << instance_->status();
}

TEST_F(FireflypTest, DoesNotRelayToAnotherReceiverOfThisDaemon) {
    Loopback ours;
    host_.add_socket(net::own_socket(IPPROTO_UDP, ours.endpoint()));
    config_.set("fireflyReceivers[0].address", "::1").set("fireflyReceivers[0].port", std::to_string(ours.endpoint().port));
    bring_up();
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(announced(1));
    EXPECT_TRUE(ours.take().empty());
    EXPECT_TRUE(host_.logged("would be a loop"));
}

TEST_F(FireflypTest, RecordsTheRelayTargetsInTheEvent) {
    net::ForeignReceiver receiver;
    const std::string name = receiver.endpoint().to_string();
    config_.set("fireflyReceivers[0].address", "0:0::1")
        .set("fireflyReceivers[0].port", std::to_string(receiver.endpoint().port));
    bring_up();
    send(fixtures::flowd_go_bare);
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(announced(2));
    for (const auto& event : host_.events()) {
        ASSERT_EQ(event.attachments.size(), 3u);
        EXPECT_EQ(event.attachments[2].first, firefly::provenance_attachment);
        const auto provenance = firefly::parse_provenance(event.attachments[2].second);
        ASSERT_TRUE(provenance) << event.attachments[2].second;
        EXPECT_TRUE(firefly::names_receiver(provenance->receivers, name)) << provenance->receivers;
        EXPECT_FALSE(firefly::names_receiver(provenance->receivers, "[::1]:1"));
    }
    EXPECT_EQ(receiver.wait_for(1).size(), 1u) << "the second was damped, but had been passed on";
}

TEST_F(FireflypTest, ReceivesAtSeveralAddresses) {
    const Loopback second("127.0.0.1", 1 << 20);
    const Endpoint other = second.endpoint();
    host_.offer_descriptor("udp:" + other.to_string(), second.duplicate());
    config_.set("binds[0].address", "127.0.0.1").set("binds[0].port", std::to_string(other.port));
    bring_up();
    send(fixtures::flowd_go_bare);
    sender_ = Loopback::must(net::UdpSocket::connected(other));
    send(fixtures::dcache_end);
    send(fixtures::xrootd_end);
    ASSERT_TRUE(announced(3));
    EXPECT_TRUE(shows(R"("binds":[{"address":")" + address_.to_string() + R"(","received":1,)")) << instance_->status();
    EXPECT_TRUE(shows(R"({"address":")" + other.to_string() + R"(","received":2,)")) << instance_->status();
    EXPECT_TRUE(shows(R"("received":3,"kernelDrops":0)")) << "in all";
}

TEST_F(FireflypTest, WithFullQueuesReadsAtNoAddress) {
    const Loopback second("127.0.0.1", 1 << 20);
    host_.offer_descriptor("udp:" + second.endpoint().to_string(), second.duplicate());
    config_.set("binds[0].address", "127.0.0.1").set("binds[0].port", std::to_string(second.endpoint().port));
    bring_up();
    host_.accept(0);
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    sender_ = Loopback::must(net::UdpSocket::connected(second.endpoint()));
    send(fixtures::dcache_end);
    host_.poll();
    EXPECT_TRUE(shows(R"("received":1,"kernelDrops")")) << instance_->status();
    host_.accept_all();
    instance_->on_room();
    ASSERT_TRUE(announced(2));
    EXPECT_EQ(host_.events()[1]->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
}

TEST_F(FireflypTest, SharesItsPortIfConfigured) {
    config_.set("bindPort", std::to_string(address_.port + 1)).set("reusePort", "true");
    testing::FakeHost one("fireflyp/one"), other("fireflyp/other");
    testing::Instance first(one, component<Fireflyp>(), config_), second(other, component<Fireflyp>(), config_);
    EXPECT_EQ(first.bring_up(), FLOWD_OK);
    EXPECT_EQ(second.bring_up(), FLOWD_OK);
    EXPECT_TRUE(other.keeps("fireflyp/other/udp:[::1]:" + std::to_string(address_.port + 1)));
    config_.set("reusePort", "false");
    testing::FakeHost alone;
    EXPECT_EQ(testing::Instance(alone, component<Fireflyp>(), config_).bring_up(), FLOWD_BUSY);
}

TEST_F(FireflypTest, AcceptsOnlyAllowedNetworks) {
    config_.set("allow", {"192.0.2.0/24", "2001:db8::/32"});
    bring_up();
    send(fixtures::flowd_go_bare);
    send("garbage");
    ASSERT_TRUE(comes_to_show(R"("turnedAway":{"not_allowed":2,"rate":0,"own":0,"repeated":0},"refused":0)"));
    EXPECT_TRUE(host_.events().empty());
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.metric(R"(fireflyp_turned_away_total{reason="not_allowed"})")->value, 2);
}

TEST_F(FireflypTest, LimitsTheRateOfEachSource) {
    config_.set("ratePerSource", "10");
    bring_up();
    for (int i = 0; i < 50; ++i) send(fixtures::flowd_go_bare);
    ASSERT_TRUE(comes_to_show(R"("received":50)"));
    const auto taken = host_.events().size();
    EXPECT_GE(taken, 10u);
    EXPECT_LT(taken, 50u);
    EXPECT_TRUE(shows(R"("rate":)" + std::to_string(50 - taken))) << instance_->status();
}

TEST_F(FireflypTest, RefusesAddressesThatOverlap) {
    const auto bind = [&](const char* address, const char* port) {
        config_.set("binds[0].address", address).set("binds[0].port", port);
        host_.forget();
        return testing::Instance(host_, component<Fireflyp>(), config_).validate();
    };
    config_.set("bindAddress", "127.0.0.1").set("bindPort", "10514").set("allow", {"::/0"});
    EXPECT_EQ(bind("127.0.0.1", "10515"), FLOWD_OK);
    EXPECT_EQ(bind("2001:db8::1", "10514"), FLOWD_OK);
    EXPECT_EQ(bind("127.0.0.1", "10514"), FLOWD_INVALID);
    EXPECT_EQ(bind("0.0.0.0", "10514"), FLOWD_INVALID);
    EXPECT_EQ(bind("::", "10514"), FLOWD_INVALID) << "it takes IPv4 too";
    EXPECT_EQ(host_.problems().at(0).option, "binds[0]");
}

TEST_F(FireflypTest, RequiresAllowedNetworksOutsideOfLoopback) {
    const auto judge = [&](testing::Config config) {
        host_.forget();
        const auto result = testing::Instance(host_, component<Fireflyp>(), config).validate();
        return result == FLOWD_OK ? "" : host_.problems().at(0).option;
    };
    const auto config = [] { return testing::Config(component<Fireflyp>()); };
    for (const char* everywhere : {"::", "0.0.0.0", "192.0.2.1", "2001:db8::1"}) {
        EXPECT_EQ(judge(config().set("bindAddress", everywhere)), "bindAddress") << everywhere;
        EXPECT_EQ(judge(config().set("binds[0].address", everywhere)), "binds[0]") << everywhere;
        EXPECT_EQ(judge(config().set("bindAddress", everywhere).set("allow", {"2001:db8::/32"})), "") << everywhere;
        EXPECT_EQ(judge(config().set("bindAddress", everywhere).set("allow", {"::/0"})), "") << "written out";
    }
    EXPECT_EQ(judge(config().set("bindAddress", "::1")), "");
    EXPECT_EQ(judge(config().set("bindAddress", "127.0.0.2")), "");
    EXPECT_EQ(judge(config()), "");
    EXPECT_NE(judge(config().set("bindAddress", "::")), "");
    EXPECT_NE(host_.problems().at(0).hint.find("allow: [\"::/0\"]"), std::string::npos) << "the remedy";
}

TEST_F(FireflypTest, RefusesToReceiveAtALinkLocalAddress) {
    config_.set("bindAddress", "fe80::1").set("allow", {"::/0"});
    EXPECT_EQ(testing::Instance(host_, component<Fireflyp>(), config_).validate(), FLOWD_INVALID);
}

TEST_F(FireflypTest, RefusesALinkLocalReceiverWithoutItsInterface) {
    config_.set("fireflyReceivers[0].address", "fe80::1");
    EXPECT_EQ(testing::Instance(host_, component<Fireflyp>(), config_).validate(), FLOWD_INVALID);
    EXPECT_EQ(host_.problems().at(0).option, "fireflyReceivers[0].address");
    config_.set("fireflyReceivers[0].address", "fe80::1%lo");
    EXPECT_EQ(testing::Instance(host_, component<Fireflyp>(), config_).validate(), FLOWD_OK);
}

TEST_F(FireflypTest, ReceivesAtBothLoopbackAddresses) {
    FireflypOptions options;
    options.bind_port = 1;
    const auto endpoints = [&] {
        std::string text;
        for (const Endpoint& endpoint : options.endpoints()) text += endpoint.to_string() + " ";
        return text;
    };
    EXPECT_EQ(endpoints(), "127.0.0.1:1 [::1]:1 ");
    options.binds = {{Address::parse("::1").value(), 1}, {Address::parse("2001:db8::1").value(), 1}};
    EXPECT_EQ(endpoints(), "127.0.0.1:1 [::1]:1 [2001:db8::1]:1 ") << "not twice";
    options.binds = {{Address::parse("::").value(), 1}};
    EXPECT_EQ(endpoints(), "[::]:1 ");
    options.bind_address = Address::parse("::1");
    options.binds.clear();
    EXPECT_EQ(endpoints(), "[::1]:1 ") << "only what is written";

    testing::Config config(component<Fireflyp>());
    config.set("bindPort", std::to_string(address_.port));
    const Loopback four(Endpoint{Address::parse("127.0.0.1").value(), address_.port});
    host_.offer_descriptor("udp:" + four.endpoint().to_string(), four.duplicate());
    testing::Instance instance(host_, component<Fireflyp>(), config);
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    for (const Endpoint& to : {four.endpoint(), address_}) {
        sender_ = Loopback::must(net::UdpSocket::connected(to));
        send(fixtures::flowd_go_bare);
    }
    EXPECT_TRUE(announced(2));
}

TEST_F(FireflypTest, RefusesToRelayToItself) {
    config_.set("fireflyReceivers[0].address", "::1").set("fireflyReceivers[0].port", std::to_string(address_.port));
    testing::Instance instance(host_, component<Fireflyp>(), config_);
    EXPECT_EQ(instance.validate(), FLOWD_INVALID);
    EXPECT_EQ(host_.problems().at(0).option, "fireflyReceivers[0]");
}

TEST_F(FireflypTest, AcceptsADeadlineOptionSilently) {
    config_.set("deadline", "3");
    testing::Instance instance(host_, component<Fireflyp>(), config_);
    EXPECT_EQ(instance.validate(), FLOWD_OK);
    EXPECT_TRUE(host_.problems().empty()) << "nothing is lost by it: a stop is seen at once anyway";
}

TEST(RateLimit, RefillsWithTime) {
    RateLimit limit(2);
    const Address source = Address::parse("192.0.2.1").value(), other = Address::parse("192.0.2.2").value();
    const auto now = RateLimit::Clock::now();
    EXPECT_TRUE(limit.admits(source, now));
    EXPECT_TRUE(limit.admits(source, now));
    EXPECT_FALSE(limit.admits(source, now)) << "one second's worth at once";
    EXPECT_TRUE(limit.admits(other, now)) << "each source for itself";
    EXPECT_FALSE(limit.admits(source, now + std::chrono::milliseconds(400)));
    EXPECT_TRUE(limit.admits(source, now + std::chrono::milliseconds(600)));
    EXPECT_FALSE(limit.admits(source, now + std::chrono::milliseconds(700)));
    EXPECT_TRUE(limit.admits(source, now + std::chrono::hours(1)));
    EXPECT_TRUE(limit.admits(source, now + std::chrono::hours(1)));
    EXPECT_FALSE(limit.admits(source, now + std::chrono::hours(1))) << "and never more than that";
}

TEST(RateLimit, KeepsTheBusiestOfTooManySources) {
    RateLimit limit(1, 1);  // room for four
    auto now = RateLimit::Clock::now();
    const Address busy = Address::parse("192.0.2.1").value();
    EXPECT_TRUE(limit.admits(busy, now));
    for (int i = 0; i < 100; ++i) {
        now += std::chrono::milliseconds(1);
        EXPECT_FALSE(limit.admits(busy, now));
        EXPECT_TRUE(limit.admits(Address::parse("198.51.100." + std::to_string(i)).value(), now));
    }
}

TEST(RateLimit, ZeroIsNoLimit) {
    RateLimit limit(0);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limit.admits(Address{}, RateLimit::Clock::now()));
}

/// Fireflies that a daemon has numbered.
class NumberedFireflies : public FireflypTest {
  protected:
    static std::string numbered(const std::string& origin, std::uint64_t seq, unsigned hops = 0,
                                std::string_view text = fixtures::flowd_go_ongoing_lean) {
        return std::string(text.substr(0, text.size() - 1)) + R"(,"flowd":{"boot":"00000000000000b1","stream":7,"seq":)" +
               std::to_string(seq) + R"(,"origin":")" + origin + R"(","hops":)" + std::to_string(hops) + "}}";
    }
    static std::string id_of(std::uint64_t id) {
        std::array<char, 17> text{};
        std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(id));
        return text.data();
    }
    void pass_seconds(int seconds) {
        for (int i = 0; i < seconds; ++i) host_.advance(std::chrono::seconds(1));
    }
    std::size_t lines_with(const std::string& part) {
        std::size_t count = 0;
        for (const auto& line : host_.lines()) count += line.text.find(part) != std::string::npos ? 1 : 0;
        return count;
    }
    static constexpr const char* another = "00000000000000b1";
};

TEST_F(NumberedFireflies, AreConsumedForOriginHopsAndPeer) {
    bring_up();
    send(numbered(another, 1, 2));
    ASSERT_TRUE(announced(1));
    const auto event = host_.events().at(0);
    for (const auto& [id, bytes] : event.attachments) EXPECT_NE(id, "flowd.json/flowd") << "not repeated as a block";
    const auto provenance = firefly::parse_provenance(event.attachments.at(2).second);
    ASSERT_TRUE(provenance);
    EXPECT_EQ(provenance->path, (firefly::Path{0xb1, 2}));
    EXPECT_EQ(provenance->peer.to_string(), "::1");
    EXPECT_EQ(provenance->port, address_.port);
}

TEST_F(NumberedFireflies, UnnumberedFirefliesHaveThisDaemonAsOrigin) {
    bring_up();
    send(fixtures::flowd_go_bare);
    send(fixtures::with("{\"version\":1", "{\"flowd\":{\"boot\":1,\"x\":[]},\"version\":1"));
    ASSERT_TRUE(announced(2));
    for (const auto& event : host_.events()) {
        ASSERT_EQ(event.attachments.size(), 3u) << "a foreign member of that name is not repeated";
        EXPECT_EQ(firefly::parse_provenance(event.attachments[2].second)->path, (firefly::Path{firefly::this_boot(), 0}));
    }
}

TEST_F(NumberedFireflies, OfThisDaemonAreDroppedAndThePeerIsNamed) {
    net::ForeignReceiver receiver;
    config_.set("fireflyReceivers[0].address", "::1")
        .set("fireflyReceivers[0].port", std::to_string(receiver.endpoint().port));
    bring_up();
    const std::string own = id_of(firefly::this_boot());
    for (int i = 1; i <= 100; ++i) send(numbered(own, static_cast<std::uint64_t>(i), 1));
    ASSERT_TRUE(comes_to_show(R"("own":100)")) << instance_->status();
    EXPECT_TRUE(host_.events().empty());
    EXPECT_TRUE(receiver.take(50).empty()) << "not passed on either";
    EXPECT_TRUE(host_.logged("fireflies come back from ::1")) << "the peer is named";
    EXPECT_EQ(lines_with("come back"), 1u) << "once a minute";
    pass_seconds(61);
    EXPECT_EQ(lines_with("come back"), 2u) << "with what came since";
    pass_seconds(120);
    EXPECT_EQ(lines_with("come back"), 2u) << "and silent when it is over";
}

TEST_F(NumberedFireflies, DuplicatesAreNeitherAnnouncedNorRelayed) {
    net::ForeignReceiver receiver;
    config_.set("fireflyReceivers[0].address", "::1")
        .set("fireflyReceivers[0].port", std::to_string(receiver.endpoint().port));
    bring_up();
    send(numbered(another, 1));
    send(numbered(another, 1));
    send("<14>1 another header " + numbered(another, 1).substr(numbered(another, 1).find('{')));
    send(numbered(another, 2));
    ASSERT_TRUE(comes_to_show(R"("repeated":2)")) << instance_->status();
    EXPECT_EQ(host_.events().size(), 2u);
    const std::vector<std::string> expected{numbered(another, 1), numbered(another, 2)};
    EXPECT_EQ(receiver.wait_for(2), expected) << "byte by byte";
}

TEST_F(NumberedFireflies, WithAForgedNumberSuppressNoOtherFlow) {
    bring_up();
    send(numbered(another, 1, 0, fixtures::dcache_start));
    send(numbered(another, 1, 0, fixtures::flowd_go_ongoing_lean));
    ASSERT_TRUE(announced(2));
    EXPECT_TRUE(shows(R"("repeated":0)")) << "the same number for another flow is not a repetition";
}

TEST_F(NumberedFireflies, MissingFirefliesAreCountedBySender) {
    bring_up();
    for (const std::uint64_t seq : {1u, 2u, 5u, 6u, 4u}) send(numbered(another, seq));
    ASSERT_TRUE(announced(5));
    EXPECT_TRUE(shows(R"("lost":0)")) << "number 3 may still come";
    pass_seconds(2);
    EXPECT_TRUE(shows(R"("lost":1,"lostBySender":{"::1":1})")) << instance_->status();
    send(numbered(another, 3));
    send(numbered(another, 207));
    ASSERT_TRUE(announced(7));
    pass_seconds(2);
    EXPECT_TRUE(shows(R"("lost":201)")) << "what comes later than that stays lost: " << instance_->status();
    EXPECT_EQ(host_.metric(R"(fireflyp_lost_total{sender="::1"})")->value, 201);
}

TEST_F(FireflypTest, RelaysAFireflyThatAThirdPartyRelayRepeatsOnlyAFewTimes) {
    net::ForeignReceiver receiver;
    config_.set("fireflyReceivers[0].address", "::1")
        .set("fireflyReceivers[0].port", std::to_string(receiver.endpoint().port));
    bring_up();
    for (int i = 0; i < 60; ++i)  // each with a time of its own
        send(fixtures::with(
            "16:57:00.5+00:00\",\"start", "16:57:" + std::to_string(10 + i % 50) + "+00:00\",\"start",
            fixtures::with("\"rtt\":1", "\"rtt\":" + std::to_string(1 + i), fixtures::flowd_go_ongoing_lean)));
    ASSERT_TRUE(announced(60));
    EXPECT_TRUE(comes_to_show(R"("limited":57)")) << instance_->status();
    EXPECT_EQ(receiver.wait_for(3).size(), 3u);
}

TEST_F(FireflypTest, AllProgramsOfThisHostAreOneSender) {
    const Loopback second("127.0.0.1", 1 << 20);
    host_.offer_descriptor("udp:" + second.endpoint().to_string(), second.duplicate());
    config_.set("binds[0].address", "127.0.0.1").set("binds[0].port", std::to_string(second.endpoint().port));
    bring_up();
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(announced(1));
    sender_ = Loopback::must(net::UdpSocket::connected(second.endpoint()));
    send(fixtures::flowd_go_end);
    ASSERT_TRUE(announced(2));
    EXPECT_EQ(host_.events()[0]->sender, host_.events()[1]->sender) << "localhost is ::1 and 127.0.0.1";
    EXPECT_NE(host_.events()[0]->sender, 0u);
}

TEST_F(FireflypTest, TruncatesATooLongApplicationAtACharacter) {
    bring_up();
    std::string name = "x";
    while (name.size() < 400) name += "\xc3\xa9";  // 2 bytes each
    send(fixtures::with("flowd-go-2.4.2\"}", name + "\"}"));
    send(fixtures::with("flowd-go-2.4.2\"}", name + "\"}", fixtures::flowd_go_end));
    ASSERT_TRUE(announced(2)) << "the end, too";
    for (const auto& event : host_.events()) EXPECT_EQ(event.application, name.substr(0, 255));
}

TEST_F(FireflypTest, ReportsRefusalsAndTheirSenderToTheCore) {
    bring_up();
    send("a\x1b[2J\xff" + std::string(300, 'x'));
    ASSERT_TRUE(comes_to_show(R"("refused":1)"));
    const auto refusals = host_.refusals();
    ASSERT_EQ(refusals.size(), 1u) << "the core logs one line a minute";
    EXPECT_EQ(refusals[0].reason, "no_json");
    EXPECT_EQ(refusals[0].sender.find("[::1]:"), 0u);
    EXPECT_EQ(refusals[0].first.find("a\x1b[2J\xffxxx"), 0u);
    EXPECT_FALSE(shows("lastRefused")) << "flowd-cpp refusals shows it";
}

TEST_F(FireflypTest, SummarisesWhereItListens) {
    bring_up();
    EXPECT_TRUE(instance_->status().starts_with("{\"summary\":\"listens on [::1]:")) << instance_->status();
}

TEST_F(FireflypTest, NamesSendersThatAreNotAllowed) {
    config_.set("allow", {"192.0.2.0/24"});
    bring_up();
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(comes_to_show(R"("not_allowed":1)"));
    ASSERT_EQ(host_.refusals().size(), 1u);
    EXPECT_EQ(host_.refusals()[0].reason, "not_allowed");
}

TEST_F(FireflypTest, AnnouncesFirefliesInTheSocketBeforeItStops) {
    bring_up();
    constexpr std::size_t sent = 2500;
    for (std::size_t i = 0; i < sent; ++i)  // nobody reads meanwhile
        send(fixtures::with("\"src-port\":1234", "\"src-port\":" + std::to_string(1000 + i)));
    ASSERT_TRUE(shows(R"("kernelDrops":0)")) << "the socket has room for them";
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.events().size(), sent);
}

TEST_F(FireflypTest, CountsAndLogsFirefliesNotAnnouncedBeforeTheStop) {
    bring_up();
    host_.withdraw_descriptor(resource());
    host_.accept(10);
    for (int i = 0; i < 500; ++i) send(fixtures::with("\"src-port\":1234", "\"src-port\":" + std::to_string(1000 + i)));
    EXPECT_EQ(instance_->stop(std::chrono::milliseconds(50)), FLOWD_OK);
    EXPECT_EQ(host_.events().size(), 10u);
    EXPECT_EQ(host_.lost(), 490u) << "it is in the exit code";
    EXPECT_TRUE(host_.logged("490 fireflies were not announced before the stop"));
}

TEST_F(FireflypTest, LeavesUnreadFirefliesToTheHolderOfTheSocket) {
    bring_up();
    host_.accept(0);
    constexpr std::size_t sent = 500;
    for (std::size_t i = 0; i < sent; ++i)
        send(fixtures::with("\"src-port\":1234", "\"src-port\":" + std::to_string(1000 + i)));
    EXPECT_EQ(instance_->stop(std::chrono::milliseconds(50), FLOWD_STOP_DAEMON_ENDS), FLOWD_OK);
    const std::size_t left = socket_.take().size();
    EXPECT_GT(left, 0u);
    EXPECT_EQ(host_.lost(), sent - left) << "what it had read already";
}

TEST_F(FireflypTest, LeavesFirefliesInTheSocketToItsSuccessor) {
    bring_up();
    for (int i = 0; i < 100; ++i) send(fixtures::flowd_go_bare);
    host_.occupy_descriptor("udp:" + address_.to_string());
    EXPECT_EQ(instance_->stop(std::chrono::seconds(5), FLOWD_STOP_REPLACED), FLOWD_OK);
    EXPECT_TRUE(host_.events().empty());
    EXPECT_EQ(host_.lost(), 0u);
    EXPECT_EQ(socket_.take().size(), 100u);
}

TEST_F(FireflypTest, RetriesEventsAfterATemporaryErrorOfTheCore) {
    bring_up();
    host_.accept(1, FLOWD_NO_MEMORY);
    for (int i = 0; i < 3; ++i) send(fixtures::with("\"src-port\":1234", "\"src-port\":" + std::to_string(1000 + i)));
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    host_.accept_all();
    EXPECT_TRUE(announced(3)) << "although nobody says that there is room";
    EXPECT_TRUE(shows(R"("notTaken":0)")) << instance_->status();
}

TEST(Streams, CountMissingNumbers) {
    Streams streams;
    const Address sender = Address::parse("2001:db8::1").value(), other = Address::parse("2001:db8::2").value();
    const auto came = [&](const Address& from, std::uint64_t seq, std::uint64_t stream = 1) {
        streams.note(from, {1, stream, seq, {1, 0}});
    };
    came(sender, 1000);
    for (std::uint64_t seq = 1001; seq < 2000; ++seq) came(sender, seq);
    streams.settle();
    EXPECT_EQ(streams.total(), 0u) << "the first that is heard is the beginning";
    came(sender, 2100);
    EXPECT_EQ(streams.total(), 37u) << "of 100 missing ones 63 may still be on their way";
    streams.settle();
    EXPECT_EQ(streams.total(), 37u);
    streams.settle();
    EXPECT_EQ(streams.total(), 100u);
    came(sender, 1, 2);
    came(sender, std::uint64_t{1} << 52, 2);
    streams.settle();
    streams.settle();
    EXPECT_EQ(streams.total(), 100u) << "a forged number is no loss";
    came(other, 5);
    came(other, 7);
    streams.settle();
    streams.settle();
    EXPECT_EQ(streams.lost().at(sender), 100u);
    EXPECT_EQ(streams.lost().at(other), 1u) << "the same stream from another address is another one";
}

TEST(Streams, OfManySendersAreLimited) {
    Streams streams;
    for (std::uint32_t i = 0; i < 20'000; ++i) {
        Address::Bytes bytes{0x20, 1, 0xd, 0xb8};
        bytes[14] = static_cast<std::uint8_t>(i >> 8);
        bytes[15] = static_cast<std::uint8_t>(i);
        streams.note(Address(bytes), {i, 1, 1, {1, 0}});
        streams.note(Address(bytes), {i, 1, 3, {1, 0}});
        streams.settle();
        streams.settle();
    }
    EXPECT_EQ(streams.lost().size(), Streams::most_senders);
    EXPECT_EQ(streams.total(), 20'000u);
    EXPECT_EQ(streams.lost_of_others(), 20'000u - Streams::most_senders);
}

TEST(Damper, DropsDuplicatesWithinItsWindow) {
    Damper damper(std::chrono::seconds(5), 64);
    const auto now = Damper::Clock::now();
    EXPECT_FALSE(damper.repeated(1, now));
    EXPECT_TRUE(damper.repeated(1, now + std::chrono::seconds(4)));
    EXPECT_FALSE(damper.repeated(2, now));
    EXPECT_FALSE(damper.repeated(1, now + std::chrono::seconds(6)));
    EXPECT_TRUE(damper.repeated(1, now + std::chrono::seconds(7)));
}

}  // namespace
}  // namespace flowd::fireflyp
