// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/firefly/firefly.hpp"
#include "backends/firefly/verdicts.hpp"
#include "flowd/testing/instance.hpp"
#include "lib/firefly/parser.hpp"
#include "tests/unit/firefly/fixtures.hpp"
#include "tests/unit/net/foreign_receiver.hpp"
#include "tests/unit/net/loopback.hpp"
#include "tests/unit/net/own_socket.hpp"
#include "tests/unit/net/stun_server.hpp"

namespace flowd::firefly_backend {
namespace {

using net::ForeignReceiver;

namespace fixtures = firefly::fixtures;
using fixtures::endpoint;

class FireflyBackendTest : public ::testing::Test {
  protected:
    void use_collector() {
        config_.set("sendToCollector", "true")
            .set("collectorAddress", collector_.endpoint().address.to_string())
            .set("collectorPort", std::to_string(collector_.endpoint().port));
    }
    void use_destination(const ForeignReceiver& destination) {
        config_.set("destinationPort", std::to_string(destination.endpoint().port));
    }
    void bring_up() {
        instance_ = std::make_unique<testing::Instance>(host_, component<FireflyBackend>(), config_);
        ASSERT_EQ(instance_->bring_up(), FLOWD_OK);
    }
    [[nodiscard]] bool shows(const std::string& part) { return instance_->status().find(part) != std::string::npos; }
    firefly::Firefly parse(const std::string& text) {
        firefly::Firefly read;
        EXPECT_EQ(parser_.parse(text, read), firefly::Refusal::none) << text;
        return read;
    }
    static Event start(const char* destination = "2001:db8:1::2") {
        auto event =
            Event::start(make_key(endpoint("2001:db8::1", 1094), endpoint(destination, 2000), IPPROTO_TCP), {2, 16});
        event->time_ns = event->start_time_ns = 1'771'952'202'251'384'000;
        return event;
    }
    static Event end(const char* destination = "2001:db8:1::2") {
        auto event = Event::end(start(destination)->key, {2, 16});
        event->start_time_ns = start()->start_time_ns;
        event->time_ns = event->end_time_ns = event->start_time_ns + 60'000'000'000;
        return event;
    }

    /// The event as fireflyp announces it.
    static Event learnt(Event event, const firefly::Provenance& provenance) {
        event->flags |= FLOWD_LEARNT_REMOTELY;
        event.attach(FLOWD_ATTACHMENT_DATAGRAM, "as it was received");
        event.attach(std::string(firefly::provenance_attachment), firefly::to_text(provenance), FLOWD_ATTACHMENT_KEEP);
        return event;
    }

    /// The flow table has so many of them: ids and source ports from 1 on.
    void add_flows(std::uint64_t count) {
        for (std::uint64_t id = 1; id <= count; ++id) {
            flowd_flow flow{};
            flow.size = sizeof flow;
            flow.flow_id = id;
            flow.key = start()->key;
            flow.key.source_port = static_cast<std::uint16_t>(id);
            flow.tag = {2, 16};
            flow.start_time_ns = start()->start_time_ns;
            host_.add_flow(flow);
        }
    }
    static Event of_flow(Event event, std::uint64_t id) {
        event->flow_id = id;
        event->key.source_port = static_cast<std::uint16_t>(id);
        return event;
    }

    ForeignReceiver collector_;
    testing::FakeHost host_{"firefly"};
    testing::Config config_{component<FireflyBackend>()};
    std::unique_ptr<testing::Instance> instance_;
    firefly::Parser parser_;
};

TEST_F(FireflyBackendTest, SendsStartAndEndToTheCollector) {
    use_collector();
    config_.set("sendToDestination", "false");
    bring_up();
    instance_->deliver(start());
    auto last = end();
    last->usage = {1000, 20, 0, 0, FLOWD_USAGE_KERNEL, FLOWD_USAGE_BYTES};
    last.application("xrdcp");
    instance_->deliver(last);
    const auto& received = collector_.wait_for(2);
    ASSERT_EQ(received.size(), 2u);

    std::array<char, 256> name{};
    ASSERT_EQ(::gethostname(name.data(), name.size() - 1), 0);
    EXPECT_TRUE(received[0].starts_with("<134>1 20"));
    EXPECT_NE(received[0].find("+00:00 " + std::string(name.data()) + " flowd-cpp - firefly-json - {"), std::string::npos);
    auto read = parse(received[0]);
    EXPECT_EQ(read.state, firefly::State::start);
    EXPECT_EQ(read.start_time_ns, start()->start_time_ns);
    EXPECT_EQ(read.application, "flowd-cpp vfake");
    EXPECT_NE(read.current_time_ns, 0);
    read = parse(received[1]);
    EXPECT_EQ(read.state, firefly::State::end);
    EXPECT_EQ(read.start_time_ns, start()->start_time_ns);
    EXPECT_EQ(read.end_time_ns, end()->end_time_ns);
    EXPECT_EQ(read.sent, 1000u);
    EXPECT_EQ(read.received, 20u);
    EXPECT_EQ(read.application, "xrdcp");
    EXPECT_TRUE(shows(R"("sent":2,"failed":0,"dropped":0)")) << instance_->status();
}

TEST_F(FireflyBackendTest, SendsToTheDestinationOfAFlow) {
    ForeignReceiver destination("::1");
    use_destination(destination);
    bring_up();
    instance_->deliver(start("::1"));
    const auto& received = destination.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(destination_of(parse(received[0]).key).to_string(), "[::1]:2000")
        << "sent to destinationPort, not to the flow's";
}

TEST_F(FireflyBackendTest, DoesNotSendLearntOrMeteredFlowsToTheDestination) {
    ForeignReceiver destination("::1");
    use_destination(destination);
    use_collector();
    bring_up();
    for (const std::uint32_t flags : {FLOWD_LEARNT_REMOTELY, FLOWD_NOT_TO_PEER}) {
        auto event = start("::1");
        event->flags = flags;
        instance_->deliver(event);
    }
    instance_->deliver(start("::1"));
    EXPECT_EQ(collector_.wait_for(3).size(), 3u) << "the collector wants them all";
    EXPECT_EQ(destination.wait_for(1).size(), 1u);
    EXPECT_TRUE(shows(R"("skipped":{"received":1,"metered":1})")) << instance_->status();
}

/// A flow that a meter found (NOT_TO_PEER) and a plugin announces as well: the flags are those that all announcers set.
class FlowOfTwoInstances : public FireflyBackendTest {
  protected:
    FlowOfTwoInstances() {
        use_destination(destination_);
        use_collector();
        bring_up();
    }
    void deliver(Event event, std::uint32_t flags) {
        event = of_flow(std::move(event), 7);
        event->flags |= flags;
        instance_->deliver(event);
    }
    static Event ongoing() { return Event::ongoing(start("::1")->key, {2, 16}); }
    std::vector<firefly::State> told(std::size_t count) {
        std::vector<firefly::State> states;
        for (const auto& text : destination_.wait_for(count)) states.push_back(parse(text).state);
        return states;
    }
    static constexpr std::uint32_t metered = FLOWD_METERED | FLOWD_NOT_TO_PEER;
    ForeignReceiver destination_{"::1"};
};

TEST_F(FlowOfTwoInstances, AnnouncedAfterTheMeterReachesItsDestinationAsAStart) {
    deliver(start("::1"), metered);
    deliver(ongoing(), 0);  // the other one joins
    deliver(ongoing(), 0);
    deliver(end("::1"), 0);
    EXPECT_EQ(told(3), (std::vector{firefly::State::start, firefly::State::ongoing, firefly::State::end}));
    std::vector<firefly::State> collector;
    for (const auto& text : collector_.wait_for(4)) collector.push_back(parse(text).state);
    EXPECT_EQ(collector,
              (std::vector{firefly::State::start, firefly::State::ongoing, firefly::State::ongoing, firefly::State::end}));
}

TEST_F(FlowOfTwoInstances, ItsEndReachesADestinationThatReceivedItsStart) {
    for (const std::uint32_t flags : {metered, std::uint32_t{FLOWD_LEARNT_REMOTELY}}) {
        deliver(start("::1"), 0);
        deliver(ongoing(), flags);  // only the meter, or another host, announces it now
        deliver(end("::1"), flags);
    }
    EXPECT_EQ(told(4),
              (std::vector{firefly::State::start, firefly::State::end, firefly::State::start, firefly::State::end}));
}

TEST_F(FlowOfTwoInstances, ItsEndDoesNotReachADestinationThatReceivedNoStart) {
    deliver(start("::1"), metered);
    deliver(end("::1"), metered);
    ASSERT_EQ(collector_.wait_for(2).size(), 2u);
    EXPECT_TRUE(destination_.take().empty());
    EXPECT_TRUE(shows(R"("skipped":{"metered":2})")) << instance_->status();
}

/// What `flowd-cpp explain` shows.
class ExplainedFlow : public FireflyBackendTest {
  protected:
    [[nodiscard]] std::vector<std::string> explain(std::uint64_t id = 7, std::uint32_t flags = 0, std::int64_t end_ns = 0) {
        flowd_flow flow{};
        flow.size = sizeof flow;
        flow.flow_id = id;
        flow.flags = flags;
        flow.end_time_ns = end_ns;
        flow.key = of_flow(start("::1"), 7)->key;
        return instance_->explain(flow);
    }
    [[nodiscard]] std::string collector() const { return collector_.endpoint().to_string(); }
    [[nodiscard]] std::string destination() const { return "[::1]:" + std::to_string(destination_.endpoint().port); }
    ForeignReceiver destination_{"::1"};
};

TEST_F(ExplainedFlow, HasTheLastFireflyToEachReceiver) {
    use_collector();
    use_destination(destination_);
    bring_up();
    EXPECT_EQ(explain(),
              (std::vector<std::string>{
                  "not-queued " + collector() + ": No firefly of this flow has been queued for this receiver yet.",
                  "not-queued " + destination() + ": No firefly of this flow has been queued for this receiver yet."}));
    instance_->deliver(of_flow(start("::1"), 7));
    EXPECT_EQ(explain(), (std::vector<std::string>{
                             "sent " + collector() + ": The last firefly (start) was sent to this collector.",
                             "sent " + destination() + ": The last firefly (start) was sent to the destination."}));
    instance_->deliver(of_flow(Event::ongoing(start("::1")->key, {2, 16}), 7));
    EXPECT_EQ(explain()[0], "sent " + collector() + ": The last firefly (ongoing) was sent to this collector.");
    instance_->deliver(of_flow(end("::1"), 7));
    EXPECT_EQ(explain(0),
              std::vector<std::string>{"not-announced: No plugin has announced this flow, so no firefly is sent."});
}

TEST_F(ExplainedFlow, HasTheReasonWhyAReceiverGotNoFirefly) {
    ForeignReceiver second("127.0.0.1");
    use_collector();
    use_destination(destination_);
    config_.set("collectors[0].address", "127.0.0.1").set("collectors[0].port", std::to_string(second.endpoint().port));
    bring_up();
    const Endpoint peer = collector_.endpoint();
    instance_->deliver(learnt(of_flow(start("::1"), 7), {{0xb1, 0}, peer.address, peer.port, {}}));
    EXPECT_EQ(explain(7, FLOWD_LEARNT_REMOTELY),
              (std::vector<std::string>{
                  "peer " + collector() + ": The firefly came from there.",
                  "sent " + second.endpoint().to_string() + ": The last firefly (start) was sent to this collector.",
                  "received " + destination() + ": The flow was learnt from a firefly, and forwardToDestination is off."}));
    auto metered = of_flow(start("::1"), 8);
    metered->flags = FLOWD_NOT_TO_PEER;
    instance_->deliver(metered);
    EXPECT_EQ(
        explain(8, FLOWD_NOT_TO_PEER)[2],
        "metered " + destination() +
            ": The plugin that announces the flow forbids it, as for metered flows, and forwardToDestination is off.");
}

TEST_F(ExplainedFlow, ReportsAFlowThatNoFireflyCanDescribe) {
    use_collector();
    bring_up();
    flowd_flow flow{};
    flow.size = sizeof flow;
    flow.flow_id = 7;
    flow.key = start()->key;
    flow.key.protocol = IPPROTO_ICMPV6;
    EXPECT_EQ(instance_->explain(flow), std::vector<std::string>{"protocol: A firefly can only report TCP and UDP."});
    flow.key = start()->key;
    flow.key.source_port = 0;
    EXPECT_EQ(instance_->explain(flow), std::vector<std::string>{"port: A firefly cannot report port 0."});
}

/// docs/explain.md has a row for each; tests/check-explain compares it with this list.
TEST_F(ExplainedFlow, EveryReasonIsBroughtAbout) {
    std::set<std::string> seen;
    const auto note = [&](const std::vector<std::string>& said, const std::set<std::string>& expected = {}) {
        std::set<std::string> words;
        for (const std::string& one : said) words.insert(one.substr(0, one.find_first_of(" :")));
        if (!expected.empty()) {
            EXPECT_EQ(words, expected);
        }
        seen.merge(words);
    };
    config_.set("sendToDestination", "false");
    bring_up();
    note(explain(), {"no-receiver"});
    use_collector();
    config_.set("collectors[0].address", "127.0.0.1").set("collectors[0].port", "9");
    bring_up();
    note(explain(), {"not-queued", "destination-off"});
    note(explain(0), {"not-announced"});
    note(explain(0, 0, 1), {"ended"});
    for (const auto& [protocol, port, host, word] :
         {std::tuple<int, int, const char*, const char*>(IPPROTO_ICMPV6, 1, "2001:db8::2", "protocol"),
          {IPPROTO_TCP, 0, "2001:db8::2", "port"},
          {IPPROTO_TCP, 1, "192.0.2.1", "address"}}) {
        flowd_flow flow{};
        flow.size = sizeof flow;
        flow.flow_id = 7;
        flow.key = make_key(endpoint("2001:db8::1", static_cast<std::uint16_t>(port)), endpoint(host, 2),
                            static_cast<std::uint8_t>(protocol));
        note(instance_->explain(flow), {word});
    }
    instance_->deliver(of_flow(start("::1"), 7));
    note(explain());
    EXPECT_TRUE(seen.contains("sent"));
    ASSERT_TRUE(host_.run_until([&] {
        instance_->deliver(of_flow(Event::ongoing(start("::1")->key, {2, 16}), 7));
        note(explain());
        return seen.contains("waiting");  // nothing listens at port 9
    }));
    const Endpoint other = endpoint("2001:db8::7", 10514);
    instance_->deliver(learnt(of_flow(start("::1"), 8), {{0xb1, firefly::max_hops}, other.address, other.port, {}}));
    note(explain(8));
    EXPECT_TRUE(seen.contains("hops"));
    instance_->deliver(
        learnt(of_flow(start("::1"), 9), {{0xb1, 0}, other.address, other.port, collector_.endpoint().to_string() + "\n"}));
    note(explain(9));
    EXPECT_TRUE(seen.contains("relayed"));
    instance_->deliver(
        learnt(of_flow(start("::1"), 10), {{0xb1, 0}, collector_.endpoint().address, collector_.endpoint().port, {}}));
    note(explain(10));
    EXPECT_TRUE(seen.contains("peer"));
    for (int i = 0; i < 1000; ++i)
        instance_->deliver(
            learnt(of_flow(Event::ongoing(start("::1")->key, {2, 16}), 11), {{0xb1, 0}, other.address, other.port, {}}));
    note(explain(11));
    EXPECT_TRUE(seen.contains("limited"));
    config_.set("sendToDestination", "true");
    net::Loopback ours("::");
    host_.add_socket(net::own_socket(IPPROTO_UDP, ours.endpoint()));
    config_.set("destinationPort", std::to_string(ours.endpoint().port));
    bring_up();
    instance_->deliver(of_flow(start("::1"), 13));
    note(explain(13));
    EXPECT_TRUE(seen.contains("ourselves"));
    instance_->deliver(learnt(of_flow(start("::1"), 14), {{0xb1, 0}, other.address, other.port, {}}));
    note(explain(14));
    EXPECT_TRUE(seen.contains("received"));
    auto metered = of_flow(start("::1"), 15);
    metered->flags = FLOWD_NOT_TO_PEER;
    instance_->deliver(metered);
    note(explain(15));
    EXPECT_TRUE(seen.contains("metered"));
    instance_->deliver(of_flow(start("ff02::1"), 16));
    note(explain(16));
    EXPECT_TRUE(seen.contains("not-a-host"));
    use_collector();
    config_.set("privacy.onlyRegisteredTags", "true");
    bring_up();
    instance_->deliver(of_flow(start("::1"), 17));
    note(explain(17));
    EXPECT_TRUE(seen.contains("unregistered"));
    config_.set("dryRun", "true");
    bring_up();
    note(explain(), {"dry-run"});
    std::set<std::string> all;
#define FIREFLY_WORD(name, word, text) all.insert(word);
    FIREFLY_VERDICTS(FIREFLY_WORD)
#undef FIREFLY_WORD
    EXPECT_EQ(seen, all);
}

TEST_F(ExplainedFlow, ReportsACollectorThatRefuses) {
    const std::uint16_t port = [] { return net::Loopback("::1").endpoint().port; }();  // nobody is there any more
    config_.set("sendToCollector", "true").set("collectorAddress", "::1").set("collectorPort", std::to_string(port));
    config_.set("sendToDestination", "false");
    bring_up();
    instance_->deliver(of_flow(start("::1"), 7));
    ASSERT_TRUE(host_.run_until([&] {
        instance_->deliver(of_flow(Event::ongoing(start("::1")->key, {2, 16}), 7));
        return shows(R"("state":"refused")");
    }));
    const auto all = explain();
    EXPECT_EQ(all[0].find("waiting [::1]:" + std::to_string(port) + ": The last firefly (ongoing) waits to be sent: "), 0u)
        << all[0];
    EXPECT_EQ(all[1], "destination-off [::1]:10514: sendToDestination is off.");
}

TEST_F(FireflyBackendTest, SendsThemToTheDestinationIfConfigured) {
    ForeignReceiver destination("::1");
    use_destination(destination);
    config_.set("forwardToDestination", "true");
    bring_up();
    auto event = start("::1");
    event->flags = FLOWD_LEARNT_REMOTELY;
    instance_->deliver(event);
    EXPECT_EQ(destination.wait_for(1).size(), 1u);
}

TEST_F(FireflyBackendTest, NeverSendsToItselfToMulticastOrUnspecifiedAddresses) {
    net::Loopback ours("::");
    host_.add_socket(net::own_socket(IPPROTO_UDP, ours.endpoint()));
    config_.set("destinationPort", std::to_string(ours.endpoint().port));
    bring_up();
    instance_->deliver(start("::1"));
    instance_->deliver(start("ff02::1"));
    auto event = start();
    event->key = make_key(endpoint("192.0.2.1", 1), endpoint("127.0.0.1", 2), IPPROTO_UDP);
    instance_->deliver(event);
    EXPECT_TRUE(ours.take().empty());
    EXPECT_TRUE(shows(R"("skipped":{"not_a_host":1,"ourselves":2})")) << instance_->status();
}

TEST_F(FireflyBackendTest, UnsentFirefliesToAnUnreachableDestinationAreNotCountedAsLost) {
    config_.set("sendToDestination", "true");
    bring_up();
    auto event = start();
    event->key =
        make_key(endpoint("192.0.2.1", 1), endpoint("255.255.255.255", 2), IPPROTO_UDP);  // not without SO_BROADCAST
    instance_->deliver(event);
    ASSERT_TRUE(shows(R"("destinations":{"sent":0,"failed":1,"dropped":0)")) << instance_->status();
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.lost(), 0u);
}

TEST_F(FireflyBackendTest, RefusesACollectorThatIsThisDaemon) {
    net::Loopback ours;
    host_.add_socket(net::own_socket(IPPROTO_UDP, ours.endpoint()));
    config_.set("sendToCollector", "true")
        .set("collectorAddress", "::1")
        .set("collectorPort", std::to_string(ours.endpoint().port));
    bring_up();
    instance_->deliver(start());
    EXPECT_TRUE(ours.take().empty());
    EXPECT_TRUE(host_.logged("would be a loop"));
    EXPECT_TRUE(shows("would be a loop"));
}

TEST_F(FireflyBackendTest, SendsOnlyFirefliesThatTheSchemaAllows) {
    use_collector();
    bring_up();
    auto event = start();
    event->key.protocol = IPPROTO_ICMPV6;
    instance_->deliver(event);
    event = start();
    event->key.source_port = 0;
    instance_->deliver(event);
    event = start();
    event->key = make_key(endpoint("::", 1), endpoint("::", 2), IPPROTO_TCP);
    instance_->deliver(event);
    instance_->deliver(Event::catch_all({2, 2}));
    instance_->deliver(start("2001:db8::99"));
    EXPECT_EQ(collector_.wait_for(1).size(), 1u);
    EXPECT_TRUE(shows(R"("skipped":{"protocol":1,"port":1,"address":1})")) << instance_->status();
}

TEST_F(FireflyBackendTest, RepeatsTheBlocksOfAFirefly) {
    use_collector();
    bring_up();
    auto event = end();
    event->flags = FLOWD_LEARNT_REMOTELY;
    event.attach("flowd.datagram/1", "original bytes");
    event.attach("flowd.json/storage-stats", R"({ "read-bw" : 1 })");
    event.attach("flowd.json/netlink", R"(["established",{"tcp_info":{"rtt":0.163}}])");
    event.attach("flowd.json/context", "{}");
    event.attach("flowd.json/broken", "{");
    instance_->deliver(event);
    const auto& received = collector_.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_TRUE(
        fixtures::without_member(received[0])
            .ends_with(
                R"(,"netlink":{"rtt":0.163,"state":"established","tcp_info":{"rtt":0.163}},"storage-stats":{"read-bw":1}})"))
        << received[0];
    EXPECT_TRUE(shows(R"("badBlocks":2)"));
}

/// An ongoing event as the core makes it of a period's samples.
class SampledFlow : public FireflyBackendTest {
  protected:
    SampledFlow() {
        info_.tcpi_state = 1;
        info_.tcpi_rtt = 2500;
        info_.tcpi_snd_mss = 8928;
        info_.tcpi_last_data_recv = 4242;
    }
    void sample(const char* source) {
        flowd_sample sample{};
        sample.size = sizeof sample;
        sample.usage = {70, 80, 0, 0, FLOWD_USAGE_KERNEL, FLOWD_USAGE_BYTES};
        sample.source = to_c(std::string_view(source));
        sample.congestion = to_c(std::string_view("bbr"));
        sample.tcp_info = {reinterpret_cast<const std::uint8_t*>(&info_), sizeof info_};
        samples_.push_back(sample);
    }
    void deliver(std::uint64_t flow_id = 7) {
        flowd_event event = Event::ongoing(start()->key, {2, 16}).raw();
        event.flags = FLOWD_SAMPLED;
        event.flow_id = flow_id;
        event.samples = samples_.data();
        event.sample_count = samples_.size();
        event.sample_stride = sizeof(flowd_sample);
        instance_->deliver(std::span<const flowd_event>(&event, 1));
    }
    void deliver_end(std::uint64_t flow_id = 7) {
        auto event = end();
        event->flow_id = flow_id;
        instance_->deliver(event);
    }
    /// What the collector was told, from the usage on.
    std::string told(std::size_t number) {
        const auto& received = collector_.wait_for(number + 1);
        if (received.size() <= number) return "nothing";
        const std::string text = fixtures::without_member(received[number]);
        return text.substr(std::min(text.find("\"usage\""), text.find("},\"netlink\"")));
    }
    struct ::tcp_info info_ {};
    std::vector<flowd_sample> samples_;
};

TEST_F(SampledFlow, HasTheSampleOfItsEnricher) {
    use_collector();
    config_.set("enrich", "true");
    bring_up();
    sample("netlink");
    deliver();
    EXPECT_TRUE(told(0).starts_with(
        R"("usage":{"received":80,"sent":70},"netlink":{"rtt":2.5,"cong":{"algorithm":"bbr"},"tcpInfo":{"Retransmits":0,"sndMss":8928,)"))
        << told(0);
}

TEST_F(SampledFlow, OfTwoEnrichersHasTwoBlocksAndNetlinksRtt) {
    use_collector();
    config_.set("enrich", "true").set("enrichmentMode", "compatible").set("maxSize", "9000");
    bring_up();
    sample("skops");
    info_.tcpi_rtt = 1500;
    sample("netlink");
    deliver();
    const std::string text = told(0);
    EXPECT_NE(text.find(R"("netlink":{"rtt":1.5,"state":"established",)"), std::string::npos) << text;
    EXPECT_NE(text.find(R"("skOps":{"rtt":1.5,"state":"established",)"), std::string::npos) << text;
}

TEST_F(SampledFlow, WithOnlyTheOtherEnricherHasItsRttInNetlink) {
    use_collector();
    config_.set("enrich", "true");
    bring_up();
    sample("skops");
    deliver();
    EXPECT_NE(told(0).find(R"("netlink":{"rtt":2.5},"skOps":{"rtt":2.5,"cong":)"), std::string::npos) << told(0);
}

TEST_F(SampledFlow, FullFallsBackToLeanIfItDoesNotFit) {
    config_.set("sendToDestination", "false");
    use_collector();
    config_.set("enrich", "true").set("enrichmentMode", "").set("maxSize", "1300");
    bring_up();
    info_.tcpi_max_pacing_rate = info_.tcpi_pacing_rate = info_.tcpi_busy_time = ~0ull;
    sample("netlink");
    deliver();
    EXPECT_NE(told(0).find(R"("tcpInfo":{"Retransmits":0)"), std::string::npos) << told(0);
    EXPECT_EQ(told(0).find("4242"), std::string::npos);
    EXPECT_TRUE(shows(R"("blocksLeftOut":0,"blocksShortened":1)")) << instance_->status();
    instance_->destroy();

    config_.set("maxSize", "9000").set("collectorAddress", "::1");
    bring_up();
    deliver();
    EXPECT_NE(told(1).find(R"("lastDataRecv":4242)"), std::string::npos) << told(1);
}

TEST_F(SampledFlow, EndsWithItsLatestRttAlthoughNothingIsEnriched) {
    use_collector();
    bring_up();
    sample("netlink");
    deliver(7);
    samples_.clear();
    info_.tcpi_rtt = 99000;
    sample("netlink");
    deliver(8);
    deliver_end(7);
    EXPECT_EQ(told(0), R"(},"netlink":{"rtt":2.5}})") << "and no ongoing, because enrich is off";
    deliver_end(7);
    const auto& received = collector_.wait_for(2);
    ASSERT_EQ(received.size(), 2u);
    EXPECT_EQ(received[1].find("netlink"), std::string::npos) << "it is forgotten with the flow";
}

TEST_F(FireflyBackendTest, SendsSampledOngoingOnlyWhenEnriching) {
    use_collector();
    bring_up();
    auto sampled = Event::ongoing(start()->key, {2, 16});
    sampled->flags = FLOWD_SAMPLED;
    flowd_sample sample{};
    sample.size = sizeof sample;
    sampled->samples = &sample;
    sampled->sample_count = 1;
    sampled->sample_stride = sizeof sample;
    instance_->deliver(sampled);
    auto retagged = Event::ongoing(start()->key, {3, 16});
    retagged->flags = FLOWD_RETAGGED;
    instance_->deliver(retagged);
    const auto& received = collector_.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(parse(received[0]).tag.experiment, 3u);
    instance_->destroy();

    testing::FakeHost other{"firefly"};
    config_.set("enrich", "true");
    testing::Instance enriching(other, component<FireflyBackend>(), config_);
    ASSERT_EQ(enriching.bring_up(), FLOWD_OK);
    auto measured = sampled;
    measured->sample_count = 0;
    enriching.deliver(measured);
    enriching.deliver(sampled);
    enriching.deliver(retagged);
    ASSERT_EQ(collector_.wait_for(3).size(), 3u);
    EXPECT_EQ(parse(received[2]).tag.experiment, 3u) << "what a meter has measured has no samples and is not sent";
}

TEST_F(FireflyBackendTest, PrintsThePublicAddressAndSendsToTheRealOne) {
    ForeignReceiver destination("::1");
    use_destination(destination);
    config_.set("stun.manualMapping[2001:db8::1]", "2001:db8:ffff::1").set("stun.manualMapping[::1]", "2001:db8:ffff::2");
    bring_up();
    instance_->deliver(start("::1"));
    const auto& received = destination.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    const auto read = parse(received[0]);
    EXPECT_EQ(source_of(read.key).to_string(), "[2001:db8:ffff::1]:1094");
    EXPECT_EQ(destination_of(read.key).to_string(), "[2001:db8:ffff::2]:2000");
}

TEST_F(FireflyBackendTest, PrintsThePublicAddressFromStunUnlessConfigured) {
    net::StunServer server;
    use_collector();
    config_.set("sendToDestination", "false").set("stun.stunServers", {server.name().c_str()});
    bring_up();
    const auto told = [&] {
        auto event = start();
        event->key = make_key(endpoint("127.0.0.1", 1094), endpoint("203.0.113.7", 2000), IPPROTO_TCP);
        const auto count = collector_.take().size() + 1;
        instance_->deliver(event);
        return source_of(parse(collector_.wait_for(count).back()).key).to_string();
    };
    EXPECT_EQ(told(), "127.0.0.1:1094") << "as it is, until there is an answer";
    ASSERT_TRUE(server.answer("198.51.100.7"));
    ASSERT_TRUE(host_.run_until([&] { return shows(R"("public":"198.51.100.7")"); }));
    EXPECT_EQ(told(), "198.51.100.7:1094");

    config_.set("stun.manualMapping[127.0.0.1]", "192.0.2.9");
    ASSERT_EQ(instance_->reconfigure(config_), FLOWD_OK);
    EXPECT_EQ(told(), "192.0.2.9:1094");
    EXPECT_EQ(server.requests(), 1u) << "the same servers: nothing is asked again";

    testing::Config none(component<FireflyBackend>());
    none.set("sendToDestination", "false")
        .set("sendToCollector", "true")
        .set("collectorAddress", collector_.endpoint().address.to_string());
    none.set("collectorPort", std::to_string(collector_.endpoint().port));
    ASSERT_EQ(instance_->reconfigure(none), FLOWD_OK);
    EXPECT_EQ(told(), "127.0.0.1:1094");
    EXPECT_FALSE(shows("\"stun\""));
    ASSERT_EQ(instance_->reconfigure(config_), FLOWD_OK);
    EXPECT_TRUE(server.wait_for(2)) << "it is asked again";
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
}

TEST_F(FireflyBackendTest, SendsOngoingForEveryLiveFlowInItsPeriod) {
    use_collector();
    config_.set("ongoing", "60s");
    add_flows(120);
    bring_up();
    for (int i = 0; i < 61 && collector_.take().size() < 120; ++i) host_.advance(std::chrono::seconds(1));
    const auto& received = collector_.wait_for(120);
    ASSERT_GE(received.size(), 120u);
    EXPECT_EQ(parse(received[0]).state, firefly::State::ongoing);
    EXPECT_EQ(parse(received[0]).start_time_ns, start()->start_time_ns);
}

TEST_F(FireflyBackendTest, AReloadSendsLiveFlowsOnlyToNewCollectors) {
    config_.set("sendToDestination", "false").set("collectors[0].address", "::1");
    config_.set("collectors[0].port", std::to_string(collector_.endpoint().port));
    bring_up();
    instance_->deliver(start());
    ASSERT_EQ(collector_.wait_for(1).size(), 1u);
    add_flows(1);

    ForeignReceiver second;
    config_.set("collectors[1].address", "::1").set("collectors[1].port", std::to_string(second.endpoint().port));
    config_.set("collectors[0].prependSyslog", "false");
    ASSERT_EQ(instance_->reconfigure(config_), FLOWD_OK);
    host_.advance(std::chrono::seconds(1));
    ASSERT_EQ(second.wait_for(1).size(), 1u);
    EXPECT_EQ(parse(second.take()[0]).state, firefly::State::ongoing);
    instance_->deliver(end());
    ASSERT_EQ(second.wait_for(2).size(), 2u);
    ASSERT_EQ(collector_.wait_for(2).size(), 2u);
    EXPECT_EQ(parse(collector_.take()[1]).state, firefly::State::end) << "no second start";
    EXPECT_TRUE(collector_.take()[1].starts_with("{")) << "its new options are in force";

    testing::Config one(component<FireflyBackend>());
    one.set("sendToDestination", "false").set("collectors[0].address", "::1");
    one.set("collectors[0].port", std::to_string(second.endpoint().port));
    ASSERT_EQ(instance_->reconfigure(one), FLOWD_OK);
    instance_->deliver(start("2001:db8:1::3"));
    ASSERT_EQ(second.wait_for(3).size(), 3u);
    EXPECT_EQ(collector_.take(100).size(), 2u) << "it was taken out";
    EXPECT_FALSE(shows(std::to_string(collector_.endpoint().port)));
}

TEST_F(FireflyBackendTest, ANewCollectorReceivesEachLiveFlowOnceAfterItsNameResolves) {
    constexpr std::size_t flows = 3000;  // more than wait while a name is unknown
    add_flows(flows);
    config_.set("sendToDestination", "false");
    bring_up();
    ForeignReceiver named("::");
    config_.set("collectors[0].address", "localhost").set("collectors[0].port", std::to_string(named.endpoint().port));
    ASSERT_EQ(instance_->reconfigure(config_), FLOWD_OK);
    instance_->deliver(of_flow(start(), 1));
    instance_->deliver(of_flow(start(), flows));
    instance_->deliver(of_flow(end(), flows + 1));
    ASSERT_TRUE(host_.run_until([&] { return shows(R"("state":"sending")"); }));
    std::size_t before = 0;
    for (int second = 0; second < 3; ++second) {  // a part each, and what is told is read before the next
        host_.advance(std::chrono::seconds(1));
        before = named.wait_for(before + flows / 3 - 2).size();
    }
    host_.advance(std::chrono::seconds(1));
    const auto& received = named.wait_for(flows + 1);
    EXPECT_EQ(received.size(), flows + 1) << instance_->status();
    std::set<std::uint16_t> told;
    std::size_t starts = 0, ends = 0;
    for (const std::string& text : received) {
        const auto read = parse(text);
        EXPECT_TRUE(told.insert(read.key.source_port).second) << "twice: " << text;
        starts += read.state == firefly::State::start ? 1 : 0;
        ends += read.state == firefly::State::end ? 1 : 0;
    }
    EXPECT_EQ(starts, 2u);
    EXPECT_EQ(ends, 1u);
    EXPECT_TRUE(shows(R"("dropped":0)")) << instance_->status();
    host_.advance(std::chrono::seconds(1));
    EXPECT_EQ(named.take(100).size(), flows + 1);
}

TEST_F(FireflyBackendTest, ANewCollectorThatRefusesReceivesTheLiveFlowsLater) {
    add_flows(3000);
    config_.set("sendToDestination", "false");
    bring_up();
    Endpoint dead;
    {
        const ForeignReceiver gone;
        dead = gone.endpoint();
    }
    config_.set("collectors[0].address", "::1").set("collectors[0].port", std::to_string(dead.port));
    ASSERT_EQ(instance_->reconfigure(config_), FLOWD_OK);
    for (int i = 0; i < 5; ++i) host_.advance(std::chrono::seconds(1));
    EXPECT_TRUE(shows(R"("state":"refused")")) << instance_->status();
    EXPECT_TRUE(shows(R"("dropped":0)")) << instance_->status();
    EXPECT_FALSE(shows(R"("waiting":0)")) << "those that wait find whether it is back";
}

/// A stream without room, put in the place of the IPv6 socket for destinations: it answers as one whose network is slow.
class SlowNetwork {
  public:
    SlowNetwork() {
        const UniqueFd listener(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_addr = in6addr_loopback;
        socklen_t length = sizeof address;
        auto* where = reinterpret_cast<sockaddr*>(&address);
        must(::bind(listener.get(), where, length) == 0 && ::listen(listener.get(), 1) == 0);
        must(::getsockname(listener.get(), where, &length) == 0);
        stream_ = UniqueFd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
        must(::connect(stream_.get(), where, length) == 0);
        peer_ = UniqueFd(::accept(listener.get(), nullptr, nullptr));
        const std::string bytes(65536, 'x');
        for (const std::size_t size : {bytes.size(), std::size_t{1}})
            while (::send(stream_.get(), bytes.data(), size, MSG_DONTWAIT) > 0) continue;
        must(::dup2(stream_.get(), unused_datagram_socket()) >= 0);
    }
    void becomes_fast() {
        std::vector<char> bytes(1 << 20);
        while (::recv(peer_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) continue;
    }

  private:
    static void must(bool done) {
        if (!done) throw std::runtime_error(std::strerror(errno));
    }
    static int unused_datagram_socket() {
        for (int fd = 0; fd < 1024; ++fd) {
            int type = 0;
            socklen_t length = sizeof type;
            sockaddr_in6 local{};
            if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_DGRAM) continue;
            length = sizeof local;
            if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) == 0 && local.sin6_family == AF_INET6 &&
                local.sin6_port == 0)
                return fd;
        }
        return -1;
    }
    UniqueFd stream_, peer_;
};

TEST_F(FireflyBackendTest, SendsToDestinationsAgainAfterTheOptionIsSwitchedOffAndOn) {
    bring_up();
    const SlowNetwork first;
    instance_->deliver(start());
    ASSERT_TRUE(shows(R"("waiting":1)")) << instance_->status();
    config_.set("sendToDestination", "false");
    ASSERT_EQ(instance_->reconfigure(config_), FLOWD_OK);

    testing::Config again(component<FireflyBackend>());
    ASSERT_EQ(instance_->reconfigure(again), FLOWD_OK);
    SlowNetwork second;
    instance_->deliver(start());
    ASSERT_TRUE(shows(R"("waiting":1)")) << "and nothing of before: " << instance_->status();
    second.becomes_fast();
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("waiting":0)"); })) << instance_->status();
}

TEST_F(FireflyBackendTest, ContinuesToSendToADestinationWithoutListener) {
    ForeignReceiver destination("127.0.0.1");
    use_destination(destination);
    bring_up();
    for (int i = 0; i < 20; ++i) {
        auto dead = start();
        dead->key = make_key(endpoint("192.0.2.1", 1), endpoint("127.0.0.2", 2), IPPROTO_TCP);
        instance_->deliver(dead);
        auto live = start();
        live->key = make_key(endpoint("192.0.2.1", 1), endpoint("127.0.0.1", 2), IPPROTO_TCP);
        instance_->deliver(live);
    }
    EXPECT_EQ(destination.wait_for(20).size(), 20u);
    EXPECT_TRUE(shows(R"("destinations":{"sent":40,"failed":0)")) << instance_->status();
}

TEST_F(FireflyBackendTest, WritesBareJsonIfConfigured) {
    use_collector();
    config_.set("prependSyslog", "false");
    bring_up();
    instance_->deliver(start());
    const auto& received = collector_.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_TRUE(received[0].starts_with(R"({"version":1,)"));
    EXPECT_EQ(host_.problems().at(0).option, "prependSyslog") << "with a warning: the collector drops them";
}

TEST_F(FireflyBackendTest, CountsPerTarget) {
    use_collector();
    bring_up();
    auto event = start();
    event->flags = FLOWD_NOT_TO_PEER;
    instance_->deliver(event);
    collector_.wait_for(1);
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.metric("firefly_sent_total{target=\"" + collector_.endpoint().to_string() + "\"}")->value, 1);
    EXPECT_EQ(host_.metric("firefly_sent_total{target=\"destinations\"}")->value, 0);
    EXPECT_EQ(host_.metric("firefly_skipped_total{reason=\"metered\"}")->value, 1);
}

TEST_F(FireflyBackendTest, SendsToEachCollectorInItsOwnForm) {
    ForeignReceiver second("127.0.0.1"), third("::1");
    use_collector();
    const auto list = [&](int index, const ForeignReceiver& receiver) {
        const std::string path = "collectors[" + std::to_string(index) + "].";
        config_.set(path + "address", receiver.endpoint().address.to_string())
            .set(path + "port", std::to_string(receiver.endpoint().port));
        return path;
    };
    config_.set(list(0, second) + "prependSyslog", "false");
    config_.set(list(1, third) + "maxSize", "1024");
    config_.set("sendToDestination", "false");
    bring_up();
    auto event = end();
    event.attach("flowd.json/long", "\"" + std::string(600, 'x') + "\"");
    instance_->deliver(event);
    ASSERT_EQ(collector_.wait_for(1).size(), 1u);
    ASSERT_EQ(second.wait_for(1).size(), 1u);
    ASSERT_EQ(third.wait_for(1).size(), 1u);
    const std::string whole = fixtures::without_member(collector_.take()[0]);
    EXPECT_TRUE(whole.starts_with("<134>1 ") && whole.find("\"long\":") != std::string::npos) << whole;
    EXPECT_EQ(fixtures::without_member(second.take()[0]), whole.substr(whole.find('{')));
    EXPECT_EQ(fixtures::without_member(third.take()[0]), whole.substr(0, whole.find(",\"long\"")) + "}");
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.metric("firefly_blocks_left_out_total")->value, 1);
    for (const ForeignReceiver* receiver : {&collector_, &second, &third})
        EXPECT_EQ(host_.metric("firefly_sent_total{target=\"" + receiver->endpoint().to_string() + "\"}")->value, 1);
}

// case C11
TEST_F(FireflyBackendTest, TellsEachCollectorWhatItsPrivacyAllows) {
    host_.add_experiment(2, "atlas");
    host_.add_activity(2, 16, "Production Output");
    ForeignReceiver second("127.0.0.1");
    use_collector();
    config_.set("collectors[0].address", "127.0.0.1").set("collectors[0].port", std::to_string(second.endpoint().port));
    config_.set("collectors[0].privacy.truncateAddresses", "true").set("collectors[0].privacy.onlyRegisteredTags", "true");
    config_.set("privacy.omitApplication", "true").set("sendToDestination", "false");
    bring_up();
    auto unregistered = end("2001:db8:1::3");
    unregistered->tag = {2, 17};
    instance_->deliver(unregistered);
    auto event = end();
    event.application("a user's job");
    instance_->deliver(event);
    const auto& whole = collector_.wait_for(2);
    const auto& reduced = second.wait_for(1);
    ASSERT_EQ(whole.size(), 2u);
    ASSERT_EQ(reduced.size(), 1u);
    EXPECT_EQ(parse(whole[1]).application, "flowd-cpp vfake");
    EXPECT_EQ(Address(parse(whole[1]).key.destination).to_string(), "2001:db8:1::2");
    EXPECT_EQ(parse(reduced[0]).application, "flowd-cpp vfake");
    EXPECT_EQ(Address(parse(reduced[0]).key.destination).to_string(), "2001:db8:1::");
    EXPECT_EQ(Address(parse(reduced[0]).key.source).to_string(), "2001:db8::");
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.metric(R"(firefly_skipped_total{reason="unregistered"})")->value, 1);
}

TEST_F(FireflyBackendTest, ACollectorThatWasSentTheStartIsSentTheEndAlthoughTheTagIsNowWithheld) {
    host_.add_experiment(2, "atlas");
    host_.add_activity(2, 16, "Production Output");
    use_collector();
    config_.set("privacy.onlyRegisteredTags", "true").set("sendToDestination", "false");
    bring_up();
    const auto of_tag = [](Event event, std::uint64_t id, flowd_tag tag) {
        event->tag = tag;
        return of_flow(std::move(event), id);
    };
    instance_->deliver(of_tag(start(), 1, {2, 16}));
    auto retag = of_tag(Event::ongoing(start()->key, {2, 17}), 1, {2, 17});
    retag->flags |= FLOWD_RETAGGED;
    instance_->deliver(retag);
    instance_->deliver(of_tag(end(), 1, {2, 17}));
    instance_->deliver(of_tag(start("2001:db8:1::3"), 2, {2, 17}));  // withheld from its start on: no end either
    instance_->deliver(of_tag(end("2001:db8:1::3"), 2, {2, 17}));
    instance_->deliver(of_tag(start("2001:db8:1::4"), 3, {2, 16}));
    const auto& sent = collector_.wait_for(3);
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(parse(sent[0]).state, firefly::State::start);
    EXPECT_EQ(parse(sent[1]).state, firefly::State::end);
    EXPECT_EQ(Address(parse(sent[2]).key.destination).to_string(), "2001:db8:1::4");
}

TEST_F(FireflyBackendTest, TheDestinationIsAPartyAndIsToldEverything) {
    ForeignReceiver destination("::1");
    use_destination(destination);
    config_.set("privacy.omitApplication", "true").set("privacy.truncateAddresses", "true");
    bring_up();
    auto event = start("::1");
    event.application("xrdcp");
    instance_->deliver(event);
    const auto& received = destination.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(parse(received[0]).application, "xrdcp");
    EXPECT_EQ(Address(parse(received[0]).key.source).to_string(), "2001:db8::1");
}

// case C11
TEST_F(FireflyBackendTest, ADryRunSendsNothingAndShowsWhatItWouldSend) {
    use_collector();
    add_flows(3);
    config_.set("privacy.truncateAddresses", "true").set("dryRun", "true").set("ongoing", "1s");
    bring_up();
    instance_->deliver(of_flow(start(), 1));
    host_.advance(std::chrono::seconds(2));
    ASSERT_EQ(instance_->findings().size(), 1u);
    EXPECT_EQ(std::string(instance_->findings()[0].id), "firefly-dry-run");
    EXPECT_TRUE(shows(R"x("summary":"sends nothing (dryRun)")x"));
    const auto answer = instance_->command({"preview"});
    ASSERT_EQ(answer.result, FLOWD_OK);
    const std::string& json = answer.json;
    EXPECT_NE(json.find(R"("dryRun":true)"), std::string::npos) << json;
    EXPECT_NE(json.find(R"("flows":3)"), std::string::npos) << json;
    EXPECT_NE(json.find(R"({"to":")" + collector_.endpoint().to_string() + R"(","firefly":"<134>1 )"), std::string::npos)
        << json;
    EXPECT_NE(json.find(R"(\"src-ip\":\"2001:db8::\")"), std::string::npos) << json;
    EXPECT_NE(json.find(R"({"to":"[2001:db8:1::2]:10514")"), std::string::npos) << "the destination: " << json;
    EXPECT_NE(instance_->command({"preview", "2"}).json.find(R"("flows":2)"), std::string::npos);
    for (const char* wrong : {"0", "1001", "all", "-1"})
        EXPECT_EQ(instance_->command({"preview", wrong}).result, FLOWD_INVALID) << wrong;
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_TRUE(collector_.take().empty());
}

TEST_F(FireflyBackendTest, AfterADryRunTheCollectorIsIntroducedToTheLiveFlows) {
    use_collector();
    config_.set("sendToDestination", "false").set("dryRun", "true");
    bring_up();
    add_flows(1);
    instance_->deliver(of_flow(start(), 1));
    config_.set("dryRun", "false");
    ASSERT_EQ(instance_->reconfigure(config_), FLOWD_OK);
    host_.advance(std::chrono::seconds(1));
    ASSERT_EQ(collector_.wait_for(1).size(), 1u);
    EXPECT_EQ(parse(collector_.take()[0]).state, firefly::State::ongoing);
}

TEST_F(FireflyBackendTest, DoesNotSendToACollectorThatARelayServed) {
    ForeignReceiver second("127.0.0.1");
    use_collector();
    config_.set("collectors[0].address", "127.0.0.1").set("collectors[0].port", std::to_string(second.endpoint().port));
    bring_up();
    auto first = start();
    const std::string receivers = "relay.example.org:10514\n" + collector_.endpoint().to_string() + "\n";
    instance_->deliver(learnt(first, {{0xb1, 0}, Address::parse("2001:db8::9").value(), 10514, receivers}));
    instance_->deliver(end());
    EXPECT_EQ(second.wait_for(2).size(), 2u);
    const auto& received = collector_.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(parse(received[0]).state, firefly::State::end) << "nobody passed that on";
    EXPECT_TRUE(shows(R"("relayed":1)")) << instance_->status();
}

TEST_F(FireflyBackendTest, NumbersFirefliesPerTarget) {
    ForeignReceiver second("127.0.0.1");
    use_collector();
    config_.set("collectors[0].address", "127.0.0.1").set("collectors[0].port", std::to_string(second.endpoint().port));
    config_.set("sendToDestination", "false");
    bring_up();
    for (int i = 0; i < 3; ++i) instance_->deliver(start());
    ASSERT_EQ(collector_.wait_for(3).size(), 3u);
    ASSERT_EQ(second.wait_for(3).size(), 3u);
    std::set<std::uint64_t> streams;
    for (ForeignReceiver* receiver : {&collector_, &second})
        for (std::uint64_t i = 0; i < 3; ++i) {
            const auto member = parse(receiver->take()[i]).member;
            ASSERT_TRUE(member) << receiver->take()[i];
            EXPECT_EQ(member->boot, firefly::this_boot());
            EXPECT_EQ(member->seq, i + 1);
            EXPECT_EQ(member->path, (firefly::Path{firefly::this_boot(), 0}));
            streams.insert(member->stream);
        }
    EXPECT_EQ(streams.size(), 2u) << "one for each target";
}

TEST_F(FireflyBackendTest, NumbersFirefliesToDestinations) {
    ForeignReceiver destination("::1");
    use_destination(destination);
    bring_up();
    instance_->deliver(start("::1"));
    instance_->deliver(end("::1"));
    ASSERT_EQ(destination.wait_for(2).size(), 2u);
    const auto first = parse(destination.take()[0]).member, second = parse(destination.take()[1]).member;
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->stream, second->stream);
    EXPECT_EQ(second->seq, 2u);
}

TEST_F(FireflyBackendTest, KeepsTheOriginOfAReprintedFireflyAndAddsAHop) {
    use_collector();
    bring_up();
    const Address peer = Address::parse("2001:db8::9").value();
    for (unsigned hops = 0; hops <= firefly::max_hops; ++hops)
        instance_->deliver(learnt(start(), {{0xb1, hops}, peer, 10514, {}}));
    const auto& received = collector_.wait_for(firefly::max_hops);
    ASSERT_EQ(received.size(), firefly::max_hops);
    for (unsigned hops = 0; hops < firefly::max_hops; ++hops)
        EXPECT_EQ(parse(received[hops]).member->path, (firefly::Path{0xb1, hops + 1}));
    EXPECT_TRUE(shows(R"("hops":1)")) << "what came with " << firefly::max_hops << " hops: " << instance_->status();
}

TEST_F(FireflyBackendTest, DoesNotSendToThePeerFromWhichItLearntTheFlow) {
    ForeignReceiver second("127.0.0.1");
    use_collector();
    config_.set("collectors[0].address", "127.0.0.1").set("collectors[0].port", std::to_string(second.endpoint().port));
    bring_up();
    const Endpoint peer = collector_.endpoint();
    instance_->deliver(learnt(start(), {{0xb1, 0}, peer.address, peer.port, {}}));
    instance_->deliver(learnt(end(), {{0xb1, 0}, peer.address, static_cast<std::uint16_t>(peer.port + 1), {}}));
    EXPECT_EQ(second.wait_for(2).size(), 2u);
    const auto& received = collector_.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(parse(received[0]).state, firefly::State::end) << "a collector beside the sender, at another port";
    EXPECT_TRUE(shows(R"("peer":1)")) << instance_->status();
}

TEST_F(FireflyBackendTest, RemembersTheOriginOfAFlowForEventsWithoutIt) {
    use_collector();
    bring_up();
    instance_->deliver(learnt(of_flow(start(), 7), {{0xb1, 1}, Address::parse("2001:db8::9").value(), 10514, {}}));
    auto expired = of_flow(end(), 7);
    expired->flags |= FLOWD_LEARNT_REMOTELY;
    expired->end_reason = FLOWD_END_AGE;
    instance_->deliver(expired);
    const auto& received = collector_.wait_for(2);
    ASSERT_EQ(received.size(), 2u);
    EXPECT_EQ(parse(received[1]).member->path, (firefly::Path{0xb1, 2}));
}

TEST_F(FireflyBackendTest, DoesNotApplyTheReceiversOfOneFireflyToOtherEvents) {
    use_collector();
    bring_up();
    const std::string receivers = collector_.endpoint().to_string() + "\n";
    const std::string kept = firefly::to_text({{0xb1, 0}, Address::parse("2001:db8::9").value(), 10514, receivers});
    const auto with_what_is_kept = [&](Event event, std::uint32_t flags) {
        event->flags |= flags;
        event.attach(std::string(firefly::provenance_attachment), kept, FLOWD_ATTACHMENT_KEEP);
        return event;
    };
    instance_->deliver(with_what_is_kept(start(), FLOWD_LEARNT_REMOTELY | FLOWD_RESYNC));
    instance_->deliver(with_what_is_kept(end(), FLOWD_LEARNT_REMOTELY));  // the core ended it
    const auto& received = collector_.wait_for(1);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(parse(received[0]).state, firefly::State::end) << "nobody has passed that on";
    EXPECT_EQ(parse(received[0]).member->path, (firefly::Path{0xb1, 1})) << "its path is known";
    EXPECT_TRUE(shows(R"("relayed":1)")) << "the start that the flow table repeats: " << instance_->status();
}

TEST_F(FireflyBackendTest, LimitsReprintedOngoingFireflies) {
    use_collector();
    bring_up();
    for (int i = 0; i < 100; ++i)
        for (const std::uint64_t id : {1u, 2u})
            instance_->deliver(learnt(of_flow(Event::ongoing(start()->key, {2, 16}), id),
                                      {{0xb1, 0}, Address::parse("2001:db8::9").value(), 10514, {}}));
    instance_->deliver(of_flow(end(), 1));
    const auto& received = collector_.wait_for(7);
    EXPECT_EQ(received.size(), 7u) << "three of each flow, and the end";
    EXPECT_TRUE(shows(R"("limited":194)")) << instance_->status();
}

TEST_F(FireflyBackendTest, OmitsTheNumberFirstIfThereIsNoRoom) {
    use_collector();
    config_.set("maxSize", "1024");
    bring_up();
    auto event = end();
    std::size_t size = 0;
    {  // what the block may have
        instance_->deliver(event);
        ASSERT_EQ(collector_.wait_for(1).size(), 1u);
        size = 1024 - fixtures::without_member(collector_.take()[0]).size() - std::string(R"(,"long":"")").size();
    }
    event.attach("flowd.json/long", "\"" + std::string(size, 'x') + "\"");
    instance_->deliver(event);
    ASSERT_EQ(collector_.wait_for(2).size(), 2u);
    EXPECT_EQ(collector_.take()[1].size(), 1024u);
    EXPECT_EQ(collector_.take()[1].find("\"flowd\":"), std::string::npos);
    EXPECT_TRUE(shows(R"("unnumbered":1,"blocksLeftOut":0)")) << instance_->status();
}

TEST_F(FireflyBackendTest, AnUnreachableCollectorDoesNotAffectOthers) {
    use_collector();
    Endpoint dead;
    {
        const ForeignReceiver gone;
        dead = gone.endpoint();
    }
    config_.set("collectors[0].address", "::1").set("collectors[0].port", std::to_string(dead.port));
    config_.set("collectors[1].address", "no-such-host.invalid");
    bring_up();
    for (int i = 0; i < 500; ++i) instance_->deliver(start());
    EXPECT_EQ(collector_.wait_for(500).size(), 500u);
    EXPECT_TRUE(shows(R"("address":"[::1]:)" + std::to_string(dead.port) + R"(","state":"refused")"))
        << instance_->status();
    EXPECT_TRUE(shows(R"("target":"no-such-host.invalid:10514","address":"","state":"resolving")")) << instance_->status();
    EXPECT_TRUE(host_.logged("refuses fireflies"));
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    const auto up = [&](const std::string& target) {
        return host_.metric("firefly_collector_up{target=\"" + target + "\"}")->value;
    };
    EXPECT_EQ(up(collector_.endpoint().to_string()), 1);
    EXPECT_EQ(up(dead.to_string()), 0);
    EXPECT_EQ(up("no-such-host.invalid:10514"), 0);
}

TEST_F(FireflyBackendTest, MayBeStoppedWithoutStart) {
    testing::Instance instance(host_, component<FireflyBackend>(), config_);
    ASSERT_EQ(instance.create(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
}

TEST_F(FireflyBackendTest, SendsFlowsThatStartedBeforeItAsOngoing) {
    use_collector();
    bring_up();
    auto before = start(), missed = start();
    before->flags |= FLOWD_RESYNC;
    missed->flags |= FLOWD_RESYNC;
    missed->start_time_ns = missed->time_ns = unix_time_ns();
    instance_->deliver(before);
    instance_->deliver(missed);
    const auto& received = collector_.wait_for(2);
    ASSERT_EQ(received.size(), 2u);
    EXPECT_EQ(parse(received[0]).state, firefly::State::ongoing)
        << "a reload has renamed the backend: the collector has heard of the start";
    EXPECT_EQ(parse(received[0]).start_time_ns, start()->start_time_ns);
    EXPECT_EQ(parse(received[1]).state, firefly::State::start) << "this backend was behind";
}

class FireflyOptionsTest : public FireflyBackendTest {
  protected:
    flowd_result validate() {
        host_.forget();
        return testing::Instance(host_, component<FireflyBackend>(), config_).validate();
    }
    [[nodiscard]] std::string first() const { return host_.problems().empty() ? "-" : host_.problems()[0].option; }
};

TEST_F(FireflyOptionsTest, OfFlowdGoAreAccepted) {
    EXPECT_EQ(validate(), FLOWD_OK);
    EXPECT_EQ(first(), "-");
}

TEST_F(FireflyOptionsTest, WithoutReceiverAreWarnedOf) {
    config_.set("sendToDestination", "false");
    EXPECT_EQ(validate(), FLOWD_OK);
    EXPECT_EQ(first(), "");
}

TEST_F(FireflyOptionsTest, WithAnUnusedCollectorAreWarnedOf) {
    config_.set("collectorAddress", "collector.example.org");
    EXPECT_EQ(validate(), FLOWD_OK);
    EXPECT_EQ(first(), "collectorAddress");
}

TEST_F(FireflyOptionsTest, WithADuplicateCollectorAreRefused) {
    config_.set("sendToCollector", "true").set("collectorAddress", "2001:0db8::1");
    config_.set("collectors[0].address", "192.0.2.1");
    EXPECT_EQ(validate(), FLOWD_OK);
    config_.set("collectors[1].address", "2001:db8:0::1");
    EXPECT_EQ(validate(), FLOWD_INVALID);
    EXPECT_EQ(first(), "collectors[1]");
}

TEST_F(FireflyOptionsTest, TakeStunServersWithAndWithoutAPort) {
    config_.set("stun.stunServers", {"stun.example.org:19302", "stun1.example.org", "192.0.2.1:3478"});
    EXPECT_EQ(validate(), FLOWD_OK);
    EXPECT_EQ(first(), "-") << "and say nothing";
    EXPECT_EQ(StunServer::parse("stun.example.org:19302")->name(), "stun.example.org:19302");
    EXPECT_EQ(StunServer::parse("stun.example.org")->name(), "stun.example.org:3478");
    EXPECT_EQ(StunServer::parse("192.0.2.1:1")->name(), "192.0.2.1:1");
}

TEST_F(FireflyOptionsTest, WithAnInvalidStunServerAreRefused) {
    for (const char* bad :
         {"", ":3478", "stun.example.org:", "stun.example.org:0", "stun.example.org:65536", "stun.example.org:x",
          "stun:stun.example.org:3478", "[2001:db8::1]:3478", "a name", "192.0.2.300", "-x", "a..b"})
        EXPECT_FALSE(StunServer::parse(bad)) << bad;
    for (const char* bad : {"stun:stun.example.org", "224.0.0.1:3478"}) {
        testing::Config config(component<FireflyBackend>());
        config.set("stun.stunServers", {"stun.example.org", bad});
        host_.forget();
        EXPECT_EQ(testing::Instance(host_, component<FireflyBackend>(), config).validate(), FLOWD_INVALID) << bad;
        EXPECT_EQ(first(), "stun.stunServers[1]");
    }
}

TEST_F(FireflyOptionsTest, WithAnInvalidMappingAreRefused) {
    config_.set("stun.manualMapping[here]", "192.0.2.1");
    EXPECT_EQ(validate(), FLOWD_INVALID);
    EXPECT_EQ(first(), "stun.manualMapping.here");
    testing::Config mixed(component<FireflyBackend>());
    mixed.set("stun.manualMapping[2001:db8::1]", "192.0.2.1");
    EXPECT_EQ(testing::Instance(host_, component<FireflyBackend>(), mixed).validate(), FLOWD_INVALID);
}

TEST_F(FireflyOptionsTest, WithALinkLocalCollectorNeedAZone) {
    config_.set("sendToCollector", "true").set("collectorAddress", "fe80::1%lo");
    EXPECT_EQ(validate(), FLOWD_OK);
    EXPECT_EQ(first(), "-");
    config_.set("collectorAddress", "fe80::1");
    EXPECT_EQ(validate(), FLOWD_INVALID);
    EXPECT_EQ(first(), "collectorAddress");
    config_.set("collectorAddress", "192.0.2.1").set("collectors[0].address", "fe80::1");
    EXPECT_EQ(validate(), FLOWD_INVALID);
    EXPECT_EQ(first(), "collectors[0]");
}

TEST_F(FireflyOptionsTest, WithAMulticastCollectorAreRefused) {
    config_.set("sendToCollector", "true").set("collectorAddress", "ff02::1");
    EXPECT_EQ(validate(), FLOWD_INVALID);
    EXPECT_EQ(first(), "collectorAddress");
}

}  // namespace
}  // namespace flowd::firefly_backend
