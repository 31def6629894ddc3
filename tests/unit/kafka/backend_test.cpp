// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "backends/kafka/kafka.hpp"
#include "flowd/testing/instance.hpp"
#include "flowd/unique_fd.hpp"
#include "tests/unit/firefly/fixtures.hpp"

namespace flowd::kafka {
namespace {

using firefly::fixtures::endpoint;
using ::testing::HasSubstr;

class KafkaBackendTest : public ::testing::Test {
  protected:
    void use_cluster() {
        config_.set("properties[test.mock.num.brokers]", "1").set("properties[test.mock.broker.rtt]", "1");
    }
    void bring_up(std::uint16_t port = 9) {
        config_.set("brokers[0]", "127.0.0.1:" + std::to_string(port)).set("linger", "0ms");
        instance_ = std::make_unique<testing::Instance>(host_, component<KafkaBackend>(), config_);
        ASSERT_EQ(instance_->bring_up(), FLOWD_OK);
    }
    void use_spool() {
        folder_ = (std::filesystem::temp_directory_path() / "kafka-XXXXXX").string();
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        spool_ = folder_ + "/spool";
        config_.set("spool.path", spool_);
    }
    ~KafkaBackendTest() override {
        instance_.reset();
        if (!folder_.empty()) std::filesystem::remove_all(folder_);
    }
    static Event event(std::uint16_t port) {
        auto one =
            Event::start(make_key(endpoint("2001:db8::1", port), endpoint("2001:db8:1::2", 2000), IPPROTO_TCP), {2, 16});
        one->flow_id = port;
        return one;
    }
    [[nodiscard]] bool shows(const std::string& part) { return instance_->status().find(part) != std::string::npos; }
    [[nodiscard]] bool finds(const std::string& id) {
        const auto all = instance_->findings();
        return std::any_of(all.begin(), all.end(), [&](const Finding& one) { return one.id == id && one.since_ns != 0; });
    }
    static constexpr std::chrono::seconds patience{60};

    testing::FakeHost host_{"kafka"};
    testing::Config config_{component<KafkaBackend>()};
    std::unique_ptr<testing::Instance> instance_;
    std::string folder_, spool_;
};

TEST_F(KafkaBackendTest, EachEventIsARecordThatIsAcknowledged) {
    use_cluster();
    bring_up();
    for (std::uint16_t port = 1; port <= 100; ++port) EXPECT_EQ(instance_->deliver(event(port)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("records":100,)"); }, patience)) << instance_->status();
    EXPECT_TRUE(shows(R"("waiting":0,)"));
    EXPECT_TRUE(instance_->findings().empty());
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.lost(), 0u);
}

TEST_F(KafkaBackendTest, TheStopWaitsForWhatIsOnItsWay) {
    use_cluster();
    config_.set("linger", "100ms");
    bring_up();
    for (std::uint16_t port = 1; port <= 100; ++port) EXPECT_EQ(instance_->deliver(event(port)), FLOWD_OK);
    EXPECT_EQ(instance_->stop(std::chrono::seconds(60)), FLOWD_OK);
    EXPECT_EQ(host_.lost(), 0u);
}

TEST_F(KafkaBackendTest, WithoutABrokerItTakesWhatItsQueueHoldsAndNoMoreAndSaysSo) {
    config_.set("queue.records", "10");
    bring_up();
    for (std::uint16_t port = 1; port <= 10; ++port) EXPECT_EQ(instance_->deliver(event(port)), FLOWD_OK);
    EXPECT_EQ(instance_->deliver(event(11)), FLOWD_FULL);
    EXPECT_EQ(instance_->taken(), 0u);
    EXPECT_EQ(host_.readies(), 0u);
    EXPECT_TRUE(host_.run_until([&] { return finds("kafka-unreachable"); }, patience));
    EXPECT_TRUE(shows(R"("state":"degraded")"));
    EXPECT_EQ(instance_->stop(std::chrono::milliseconds(100)), FLOWD_OK);
    EXPECT_EQ(host_.lost(), 10u) << "what was taken and not written is given up, and counted";
}

TEST_F(KafkaBackendTest, ItSaysWhenItsQueueHasRoomAgain) {
    use_cluster();
    config_.set("queue.records", "10");
    bring_up();
    flowd_result result = FLOWD_OK;
    for (std::uint16_t port = 1; port <= 1000 && result == FLOWD_OK; ++port) result = instance_->deliver(event(port));
    ASSERT_EQ(result, FLOWD_FULL);
    EXPECT_TRUE(host_.run_until([&] { return host_.readies() == 1; }, patience));
    EXPECT_EQ(instance_->deliver(event(2000)), FLOWD_OK);
}

TEST_F(KafkaBackendTest, ARecordThatIsTooLargeIsAFindingAndNothingWaitsForIt) {
    use_cluster();
    config_.set("maxSize", "4096");
    bring_up();
    auto large = event(1);
    large.attach(FLOWD_ATTACHMENT_DATAGRAM, std::string(5000, 'x'));
    EXPECT_EQ(instance_->deliver(large), FLOWD_OK);
    EXPECT_EQ(instance_->deliver(event(2)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("records":1,)"); }, patience));
    EXPECT_THAT(instance_->status(), HasSubstr(R"("too_large":1)"));
    EXPECT_TRUE(finds("kafka-record-too-large"));
}

TEST_F(KafkaBackendTest, WithNewOptionsItKeepsWhatItHasNotWritten) {
    bring_up();
    for (std::uint16_t port = 1; port <= 10; ++port) EXPECT_EQ(instance_->deliver(event(port)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return finds("kafka-unreachable"); }, patience));
    use_cluster();
    EXPECT_EQ(instance_->reconfigure(config_), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("records":10,)"); }, patience)) << instance_->status();
    EXPECT_TRUE(instance_->findings().empty());
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.lost(), 0u);
}

TEST_F(KafkaBackendTest, AnotherSpoolNeedsANewInstance) {
    bring_up();
    config_.set("spool.path", "/nonexistent/spool");
    EXPECT_EQ(instance_->reconfigure(config_), FLOWD_UNSUPPORTED);
}

TEST_F(KafkaBackendTest, WhatTheSpoolHasIsWrittenByTheNextInstanceAndFlaggedIfItMayHaveBeenWritten) {
    ASSERT_NO_FATAL_FAILURE(use_spool());
    bring_up();
    EXPECT_EQ(instance_->deliver(event(1)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return finds("kafka-unreachable"); }, patience));
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("spooled":1,)"); }, patience)) << instance_->status();
    EXPECT_EQ(instance_->deliver(event(2)), FLOWD_OK);
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.lost(), 0u);
    instance_.reset();
    use_cluster();
    bring_up();
    EXPECT_TRUE(host_.run_until([&] { return shows(R"(/spool","records":0,)"); }, patience)) << instance_->status();
    EXPECT_TRUE(shows(R"("redelivered":1,)")) << "the client had the first one: " << instance_->status();
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
}

TEST_F(KafkaBackendTest, TheSpoolIsReadOnceABrokerHasAnsweredAndSoItsRecordsAreNotFlaggedForAConnectionAlone) {
    ASSERT_NO_FATAL_FAILURE(use_spool());
    bring_up();
    EXPECT_TRUE(host_.run_until([&] { return finds("kafka-unreachable"); }, patience));
    EXPECT_EQ(instance_->deliver(event(1)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("spooled":1,)"); }, patience)) << instance_->status();
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    instance_.reset();
    // The kernel accepts the connection, and nobody reads it.
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t length = sizeof address;
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    bring_up(ntohs(address.sin_port));
    EXPECT_EQ(instance_->deliver(event(2)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("spooled":1,)"); }, patience)) << instance_->status();
    EXPECT_TRUE(instance_->findings().empty()) << "it is not known yet that nobody answers";
    EXPECT_TRUE(shows(R"("waiting":0,)")) << "the client has nothing: " << instance_->status();
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    instance_.reset();
    use_cluster();
    bring_up();
    EXPECT_TRUE(host_.run_until([&] { return shows(R"(/spool","records":0,)"); }, patience)) << instance_->status();
    EXPECT_TRUE(shows(R"("redelivered":0,)")) << instance_->status();
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
}

TEST_F(KafkaBackendTest, RecordsBehindDamageInTheSpoolAreGivenUpOnceAndTheNextOnesAreWritten) {
    ASSERT_NO_FATAL_FAILURE(use_spool());
    bring_up();
    EXPECT_TRUE(host_.run_until([&] { return finds("kafka-unreachable"); }, patience));
    for (std::uint16_t port = 1; port <= 6000; ++port) EXPECT_EQ(instance_->deliver(event(port)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("spooled":6000,)"); }, patience)) << instance_->status();
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    instance_.reset();
    std::fstream file(spool_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(spool_) / 8192 * 4096));
    file << std::string(4096, 'x');
    file.close();
    use_cluster();
    bring_up();
    EXPECT_TRUE(host_.run_until([&] { return finds("kafka-spool-moved") && shows(R"("waiting":0,)"); }, patience));
    EXPECT_EQ(instance_->deliver(event(7000)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("waiting":0,)"); }, patience));
    const std::string status = instance_->status();
    const auto number = [&status](const std::string& name) {
        const auto at = status.find("\"" + name + "\":");
        return at == std::string::npos ? 0 : std::stoi(status.substr(at + name.size() + 3));
    };
    EXPECT_GT(number("damaged"), 0) << status;
    EXPECT_GT(number("records"), 1000) << "those before the damage were written: " << status;
    EXPECT_EQ(number("records") + number("damaged"), 6001) << status;
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
}

TEST_F(KafkaBackendTest, SamplesAreRecordsWithEnrichOnly) {
    use_cluster();
    bring_up();
    auto sampled = event(1);
    sampled->kind = FLOWD_EVENT_ONGOING;
    sampled->flags = FLOWD_SAMPLED;
    EXPECT_EQ(instance_->deliver(sampled), FLOWD_OK);
    EXPECT_EQ(instance_->deliver(event(2)), FLOWD_OK);
    EXPECT_TRUE(host_.run_until([&] { return shows(R"("records":1,)"); }, patience));
    EXPECT_TRUE(shows(R"("waiting":0,)"));
}

TEST_F(KafkaBackendTest, CheckOfTheHostFindsThatNoBrokerAnswers) {
    config_.set("brokers[0]", "127.0.0.1:9");
    testing::Instance instance(host_, component<KafkaBackend>(), config_);
    const auto all = instance.host_findings();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_STREQ(all[0].id, "kafka-unreachable");
    EXPECT_EQ(all[0].subject, "127.0.0.1:9");
}

}  // namespace
}  // namespace flowd::kafka
