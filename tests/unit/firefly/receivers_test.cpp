// SPDX-License-Identifier: Apache-2.0
// The option `receivers` of fireflyp: several sockets at an address, and a thread for each.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flowd/testing/instance.hpp"
#include "plugins/fireflyp/fireflyp.hpp"
#include "tests/unit/firefly/fixtures.hpp"
#include "tests/unit/net/foreign_receiver.hpp"
#include "tests/unit/net/loopback.hpp"

namespace flowd::fireflyp {
namespace {

using net::Loopback;
namespace fixtures = firefly::fixtures;

constexpr int senders = 32;

class Receivers : public ::testing::Test {
  protected:
    Receivers() {
        const Loopback free("127.0.0.1");
        address_ = free.endpoint();
        config_.set("bindAddress", "127.0.0.1").set("bindPort", std::to_string(address_.port)).set("receivers", "4");
        config_.set("receiveBuffer", "1048576");
        for (int i = 0; i < senders; ++i)  // starts and ends come from sockets of their own
            for (int socket = 0; socket < 2; ++socket) sockets_.push_back(from("127.0.1." + std::to_string(i + 1)));
    }
    [[nodiscard]] static UniqueFd from(const std::string& source) {
        UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_storage storage{};
        const socklen_t length = Endpoint{*Address::parse(source), 0}.to(storage);
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length), 0);
        return fd;
    }
    void bring_up() { ASSERT_EQ(instance_->bring_up(), FLOWD_OK); }
    void send(const UniqueFd& socket, std::string_view text) {
        sockaddr_storage storage{};
        const socklen_t length = address_.to(storage);
        ASSERT_EQ(::sendto(socket.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&storage), length),
                  static_cast<ssize_t>(text.size()));
    }
    /// Start and end of a flow that is told by its sender and a number.
    void send_pair(int sender, int number) {
        const std::string ports =
            "\"src-port\":" + std::to_string(1000 + number) + ",\"dst-port\":" + std::to_string(1 + sender);
        auto socket = sockets_.begin() + 2 * sender;
        for (const std::string_view text : {fixtures::flowd_go_bare, fixtures::flowd_go_end})
            send(*socket++, fixtures::with("\"src-port\":1234,\"dst-port\":5678", ports, text));
    }
    void send_pairs(int first, int last) {
        for (int number = first; number < last; ++number)
            for (int sender = 0; sender < senders; ++sender) send_pair(sender, number);
    }
    /// Each sender's fireflies were announced once, in any order.
    static void expect_all(const std::vector<testing::RecordedEvent>& events, int pairs) {
        std::map<std::pair<int, int>, std::uint32_t> kinds;
        for (const auto& event : events) kinds[{event->key.destination_port, event->key.source_port}] += event->kind;
        EXPECT_EQ(events.size(), 2u * senders * static_cast<std::size_t>(pairs));
        EXPECT_EQ(kinds.size(), static_cast<std::size_t>(senders * pairs));
        for (const auto& [flow, kind] : kinds) EXPECT_EQ(kind, std::uint32_t{FLOWD_EVENT_START} + FLOWD_EVENT_END);
    }
    /// Each sender's fireflies were announced once and in the order in which it sent them.
    static void expect_order(const std::vector<testing::RecordedEvent>& events, int pairs) {
        std::map<int, int> next;
        for (const auto& event : events) {
            int& expected = next[event->key.destination_port];
            EXPECT_EQ(event->key.source_port, 1000 + expected / 2);
            EXPECT_EQ(event->kind, static_cast<std::uint32_t>(expected % 2 == 0 ? FLOWD_EVENT_START : FLOWD_EVENT_END));
            ++expected;
        }
        EXPECT_EQ(next.size(), static_cast<std::size_t>(senders));
        for (const auto& [sender, count] : next) EXPECT_EQ(count, 2 * pairs) << "of sender " << sender;
    }
    /// As run_until; but what the plugin's threads do does not wake the host's loop.
    template <typename Predicate>
    static bool until(testing::FakeHost& host, Predicate done) {
        for (int i = 0; i < 2000; ++i)
            if (host.run_until(done, std::chrono::milliseconds(5))) return true;
        return false;
    }
    bool announced(std::size_t count) {
        return until(host_, [&] { return host_.events().size() >= count; });
    }
    bool comes_to_show(const std::string& part) {
        return until(host_, [&] { return instance_->status().find(part) != std::string::npos; });
    }
    [[nodiscard]] double metric(const std::string& name, int socket) {
        const std::string labels = "{bind=\"" + address_.to_string() + "\",socket=\"" + std::to_string(socket) + "\"}";
        const auto found = host_.metric(name + labels);
        return found ? found->value : -1;
    }
    [[nodiscard]] std::string resource(int socket) const {
        return "udp:" + address_.to_string() + (socket == 0 ? "" : "/" + std::to_string(socket));
    }
    /// What the core does at a reload: the successor may take the sockets of the predecessor.
    void hand_over(testing::FakeHost& successor, int sockets) {
        const Descriptors kept(host_.raw(), host_.raw()->extension(host_.raw(), FLOWD_EXT_DESCRIPTORS));
        for (int i = 0; i < sockets; ++i) successor.offer_descriptor(resource(i), kept.take(resource(i)));
    }
    /// And the predecessor sees which of them the successor took.
    void take_over(int sockets) {
        for (int i = 0; i < sockets; ++i) host_.occupy_descriptor(resource(i));
    }

    Endpoint address_;
    testing::FakeHost host_{"fireflyp"};
    testing::Config config_{component<Fireflyp>()};
    std::vector<UniqueFd> sockets_;
    std::unique_ptr<testing::Instance> made_;
    /// Made with the options of that moment.
    struct Lazy {
        Receivers& test;
        testing::Instance* operator->() const {
            if (!test.made_)
                test.made_ = std::make_unique<testing::Instance>(test.host_, component<Fireflyp>(), test.config_);
            return test.made_.get();
        }
    } instance_{*this};
};

TEST_F(Receivers, KeepTheOrderOfEachSenderAndShareTheWork) {
    bring_up();
    constexpr int pairs = 50;
    send_pairs(0, pairs);
    ASSERT_TRUE(announced(2 * senders * pairs));
    expect_order(host_.events(), pairs);
    instance_->stop();
    double received = 0;
    for (int socket = 0; socket < 4; ++socket) {
        EXPECT_GT(metric("fireflyp_received_total", socket), 0) << "socket " << socket;
        received += metric("fireflyp_received_total", socket);
    }
    EXPECT_EQ(received, 2 * senders * pairs);
    EXPECT_TRUE(instance_->status().find(R"("kernelDrops":0)") != std::string::npos);
}

TEST_F(Receivers, AreOneWithoutTheOption) {
    config_.set("receivers", "1");
    bring_up();
    send_pair(0, 0);
    ASSERT_TRUE(announced(2));
    EXPECT_TRUE(host_.metric("fireflyp_received_total{bind=\"" + address_.to_string() + "\"}")) << "no label more";
}

TEST_F(Receivers, StopReadingWhenTheQueuesAreFullAndLoseNothing) {
    bring_up();
    host_.accept(10);
    constexpr int pairs = 20;
    send_pairs(0, pairs);
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    for (int i = 0; i < 20; ++i) {
        host_.accept(i);
        instance_->on_room();
    }
    host_.accept_all();
    ASSERT_TRUE(until(host_, [&] {
        instance_->on_room();
        return host_.events().size() >= 2u * senders * pairs;
    }));
    expect_order(host_.events(), pairs);
    EXPECT_TRUE(comes_to_show(R"("paused":false)"));
}

TEST_F(Receivers, OfferEventsAgainAfterATemporaryErrorOfTheCore) {
    bring_up();
    host_.accept(1, FLOWD_NO_MEMORY);
    send_pairs(0, 2);
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    host_.accept_all();
    EXPECT_TRUE(announced(4 * senders)) << "although nobody says that there is room";
    EXPECT_TRUE(comes_to_show(R"("notTaken":0)")) << instance_->status();
}

TEST_F(Receivers, CountDropsOfEachSocket) {
    config_.set("receiveBuffer", "4096");
    bring_up();
    host_.accept(0);
    for (int i = 0; i < 500; ++i) send_pair(0, i);
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    instance_->stop(std::chrono::milliseconds(1));
    int dropping = 0;
    for (int socket = 0; socket < 4; ++socket) {
        dropping += metric("fireflyp_kernel_drops_total", socket) > 0 ? 1 : 0;
        EXPECT_GE(metric("fireflyp_receive_buffer_bytes", socket), 0) << "socket " << socket;
    }
    EXPECT_EQ(dropping, 1) << "one sender has one socket";
    EXPECT_TRUE(host_.logged("datagrams at " + address_.to_string() + ", socket "));
}

TEST_F(Receivers, RelayEachFlowInOrder) {
    net::ForeignReceiver receiver("127.0.0.1");
    config_.set("fireflyReceivers[0].address", "127.0.0.1")
        .set("fireflyReceivers[0].port", std::to_string(receiver.endpoint().port));
    bring_up();
    constexpr int pairs = 10;
    send_pairs(0, pairs);
    ASSERT_TRUE(announced(2 * senders * pairs));
    std::map<std::string, int> starts;
    for (const std::string& text : receiver.wait_for(2 * senders * pairs)) {
        const std::string flow = text.substr(text.find("\"src-port\""), 34);
        const bool is_start = text.find("\"start\"") != std::string::npos;
        EXPECT_EQ(starts[flow]++, is_start ? 0 : 1) << text;
    }
    EXPECT_EQ(starts.size(), static_cast<std::size_t>(senders * pairs));
}

TEST_F(Receivers, OfAnotherProgramsPortAreRefused) {
    const Loopback other(address_);
    EXPECT_EQ(instance_->bring_up(), FLOWD_BUSY) << "the port is not shared with a stranger";
    EXPECT_NE(host_.problems().at(0).message.find(address_.to_string()), std::string::npos);
}

TEST_F(Receivers, OfTwoDaemonsAreRefused) {
    bring_up();
    testing::FakeHost other{"fireflyp"};
    EXPECT_EQ(testing::Instance(other, component<Fireflyp>(), config_).bring_up(), FLOWD_BUSY);
    send_pair(0, 0);
    EXPECT_TRUE(announced(2)) << "and the first is not disturbed";
}

TEST_F(Receivers, AreNotForPortsThatInstancesShare) {
    config_.set("reusePort", "true");
    EXPECT_EQ(instance_->validate(), FLOWD_INVALID);
    EXPECT_EQ(host_.problems().at(0).option, "receivers");
}

TEST_F(Receivers, AreAsBeforeAfterAReloadThatFails) {
    bring_up();
    testing::FakeHost next{"fireflyp"};
    hand_over(next, 4);
    config_.set("receivers", "2");
    testing::Instance successor(next, component<Fireflyp>(), config_);
    ASSERT_EQ(successor.create(), FLOWD_OK);
    ASSERT_EQ(successor.prepare(), FLOWD_OK);
    EXPECT_EQ(successor.stop(std::chrono::seconds(5), FLOWD_STOP_FAILED), FLOWD_OK);
    for (int i = 0; i < 4; ++i) next.withdraw_descriptor(resource(i));
    send_pairs(0, 5);
    ASSERT_TRUE(announced(2 * senders * 5));
    expect_order(host_.events(), 5);
    instance_->stop();
    for (int socket = 0; socket < 4; ++socket) EXPECT_GT(metric("fireflyp_received_total", socket), 0);
}

struct Reload {
    const char* before;
    const char* after;
    bool has_systemd = false;  ///< which keeps the sockets as well
};
class ReceiversReloaded : public Receivers, public ::testing::WithParamInterface<Reload> {};

TEST_P(ReceiversReloaded, LoseNothingAndKeepTheOrderUnlessTheyBecomeFewer) {
    const int before = std::stoi(GetParam().before);
    config_.set("receivers", GetParam().before);
    bring_up();
    constexpr int pairs = 12;
    send_pairs(0, 3);
    ASSERT_TRUE(announced(2 * senders * 3));
    host_.accept(0);  // from now on fireflies wait
    send_pairs(3, 6);

    testing::FakeHost next{"fireflyp"};
    hand_over(next, before);
    if (GetParam().has_systemd)
        for (int i = 0; i < before; ++i) host_.offer_descriptor(resource(i), UniqueFd(::dup(0)));
    config_.set("receivers", GetParam().after);
    testing::Instance successor(next, component<Fireflyp>(), config_);
    ASSERT_EQ(successor.validate(), FLOWD_OK);
    ASSERT_EQ(successor.create(), FLOWD_OK);
    ASSERT_EQ(successor.prepare(), FLOWD_OK);
    send_pairs(6, 9);  // after senders were distributed anew
    host_.accept_all();
    take_over(std::min(before, std::stoi(GetParam().after)));
    EXPECT_EQ(instance_->stop(std::chrono::seconds(5), FLOWD_STOP_REPLACED), FLOWD_OK);
    ASSERT_EQ(successor.start(), FLOWD_OK);
    send_pairs(9, pairs);
    ASSERT_TRUE(until(next, [&] { return host_.events().size() + next.events().size() >= 2u * senders * pairs; }))
        << host_.events().size() << " and " << next.events().size();
    auto events = host_.events();
    for (const auto& event : next.events()) events.push_back(event);
    expect_all(events, pairs);
    if (std::stoi(GetParam().after) >= before) expect_order(events, pairs);
    EXPECT_EQ(host_.lost(), 0u);
}

INSTANTIATE_TEST_SUITE_P(ToAnotherNumber, ReceiversReloaded,
                         ::testing::Values(Reload{"1", "4"}, Reload{"4", "1"}, Reload{"4", "2"}, Reload{"2", "4"},
                                           Reload{"4", "4"}, Reload{"4", "2", true}),
                         [](const auto& made) {
                             return std::string(made.param.before) + "to" + made.param.after +
                                    (made.param.has_systemd ? "Systemd" : "");
                         });

}  // namespace
}  // namespace flowd::fireflyp
