// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/fireflyp.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flowd/testing/instance.hpp"
#include "lib/firefly/relayed.hpp"
#include "tests/unit/firefly/fixtures.hpp"
#include "tests/unit/net/foreign_receiver.hpp"
#include "tests/unit/net/loopback.hpp"

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

TEST_F(FireflypTest, AnnouncesWhatAFireflySays) {
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
    ASSERT_EQ(event.attachments.size(), 2u);
    EXPECT_EQ(event.attachments[0].first, "flowd.datagram/1");
    EXPECT_EQ(event.attachments[0].second, fixtures::dcache_end);
    EXPECT_EQ(event.attachments[1].first, "flowd.json/storage-stats");
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

TEST_F(FireflypTest, CountsWhatTheKernelDroppedAndSaysSo) {
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

TEST_F(FireflypTest, SaysOnceWhatTheKernelDroppedAlthoughItWasCountedBeforeTheNextDatagram) {
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

TEST_F(FireflypTest, ShowsWhatTheKernelDropsMeanwhile) {
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

TEST_F(FireflypTest, GoesOnBehindAnEventThatTheCoreDoesNotTake) {
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

TEST_F(FireflypTest, StopsTwiceAndWithoutHavingStarted) {
    testing::FakeHost host;
    testing::Instance instance(host, component<Fireflyp>(), config_);
    ASSERT_EQ(instance.create(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
}

TEST_F(FireflypTest, PassesOnTheOriginalBytesOfWhatItUnderstood) {
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

TEST_F(FireflypTest, DoesNotPassOnWhatItJustPassedOn) {
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

TEST_F(FireflypTest, PassesEachOnOnceAlthoughItIsReadTwiceWhenFull) {
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

TEST_F(FireflypTest, DoesNotPassOnToAnotherReceiverOfThisDaemon) {
    Loopback ours;
    config_.set("fireflyReceivers[0].address", "::1").set("fireflyReceivers[0].port", std::to_string(ours.endpoint().port));
    bring_up();
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(announced(1));
    EXPECT_TRUE(ours.take().empty());
    EXPECT_TRUE(host_.logged("that would be a loop"));
}

TEST_F(FireflypTest, SaysInTheEventToWhomItPassedTheOriginalOn) {
    net::ForeignReceiver receiver;
    const std::string name = receiver.endpoint().to_string();
    config_.set("fireflyReceivers[0].address", "0:0::1")
        .set("fireflyReceivers[0].port", std::to_string(receiver.endpoint().port));
    bring_up();
    send(fixtures::flowd_go_bare);
    send(fixtures::flowd_go_bare);
    ASSERT_TRUE(announced(2));
    for (const auto& event : host_.events()) {
        ASSERT_EQ(event.attachments.size(), 2u);
        EXPECT_EQ(event.attachments[1].first, "flow/flowd.relayed/1");
        EXPECT_TRUE(firefly::names_receiver(event.attachments[1].second, name)) << event.attachments[1].second;
        EXPECT_FALSE(firefly::names_receiver(event.attachments[1].second, "[::1]:1"));
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

TEST_F(FireflypTest, WaitingForRoomReadsAtNoAddress) {
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

TEST_F(FireflypTest, SharesItsPortWhenTold) {
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

TEST_F(FireflypTest, LooksOnlyAtWhatComesFromAllowedNetworks) {
    config_.set("allow", {"192.0.2.0/24", "2001:db8::/32"});
    bring_up();
    send(fixtures::flowd_go_bare);
    send("garbage");
    ASSERT_TRUE(comes_to_show(R"("turnedAway":{"not_allowed":2,"rate":0},"refused":0)"));
    EXPECT_TRUE(host_.events().empty());
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.metric(R"(fireflyp_turned_away_total{reason="not_allowed"})")->value, 2);
}

TEST_F(FireflypTest, TakesFromEachSourceOnlySoManyAtOnce) {
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
    config_.set("bindAddress", "127.0.0.1").set("bindPort", "10514");
    EXPECT_EQ(bind("127.0.0.1", "10515"), FLOWD_OK);
    EXPECT_EQ(bind("2001:db8::1", "10514"), FLOWD_OK);
    EXPECT_EQ(bind("127.0.0.1", "10514"), FLOWD_INVALID);
    EXPECT_EQ(bind("0.0.0.0", "10514"), FLOWD_INVALID);
    EXPECT_EQ(bind("::", "10514"), FLOWD_INVALID) << "it takes IPv4 too";
    EXPECT_EQ(host_.problems().at(0).option, "binds[0]");
}

TEST_F(FireflypTest, RefusesToBeItsOwnReceiver) {
    config_.set("fireflyReceivers[0].address", "::1").set("fireflyReceivers[0].port", std::to_string(address_.port));
    testing::Instance instance(host_, component<Fireflyp>(), config_);
    EXPECT_EQ(instance.validate(), FLOWD_INVALID);
    EXPECT_EQ(host_.problems().at(0).option, "fireflyReceivers[0]");
}

TEST_F(FireflypTest, TakesADeadlineWithoutAWord) {
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

TEST(RateLimit, OfNothingIsNone) {
    RateLimit limit(0);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limit.admits(Address{}, RateLimit::Clock::now()));
}

TEST(Damper, SwallowsWhatIsIdenticalWithinItsWindow) {
    Damper damper(std::chrono::seconds(5), 64);
    const auto now = Damper::Clock::now();
    EXPECT_FALSE(damper.repeated("a", now));
    EXPECT_TRUE(damper.repeated("a", now + std::chrono::seconds(4)));
    EXPECT_FALSE(damper.repeated("b", now));
    EXPECT_FALSE(damper.repeated("a", now + std::chrono::seconds(6)));
    EXPECT_TRUE(damper.repeated("a", now + std::chrono::seconds(7)));
}

}  // namespace
}  // namespace flowd::fireflyp
