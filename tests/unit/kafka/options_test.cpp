// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "backends/kafka/kafka.hpp"
#include "flowd/testing/instance.hpp"

namespace flowd::kafka {
namespace {

/// The problems of a configuration, as "option: message" lines.
std::string problems_of(const std::function<void(testing::Config&)>& change) {
    testing::FakeHost host{"kafka"};
    testing::Config config(component<KafkaBackend>());
    config.set("brokers[0]", "127.0.0.1:9");
    change(config);
    testing::Instance instance(host, component<KafkaBackend>(), config);
    (void)instance.validate();
    std::string lines;
    for (const auto& problem : host.problems()) lines += problem.option + ": " + problem.message + "\n";
    return lines;
}

TEST(KafkaOptionsTest, ABrokerIsEnough) {
    EXPECT_EQ(problems_of([](auto&) {}), "");
    EXPECT_EQ(problems_of(
                  [](auto& config) { config.set("brokers[1]", "[2001:db8::1]:9092").set("brokers[2]", "a.example.org"); }),
              "");
}

TEST(KafkaOptionsTest, ABrokerIsAHostAndAPort) {
    for (const char* bad : {"a:0", "a:99999", "[2001:db8::1", "a,b", "", "[a]:1", "a:"})
        EXPECT_NE(problems_of([&](auto& config) { config.set("brokers[0]", bad); }).find("is not a broker"),
                  std::string::npos)
            << bad;
}

TEST(KafkaOptionsTest, APropertyIsJudgedByLibrdkafka) {
    EXPECT_EQ(problems_of([](auto& config) { config.set("properties[socket.keepalive.enable]", "true"); }), "");
    EXPECT_NE(problems_of([](auto& config) {
                  config.set("properties[no.such.thing]", "1");
              }).find("No such configuration property"),
              std::string::npos);
    EXPECT_NE(
        problems_of([](auto& config) { config.set("properties[socket.timeout.ms]", "soon"); }).find("socket.timeout.ms"),
        std::string::npos);
}

TEST(KafkaOptionsTest, ACombinationOfPropertiesIsJudgedByLibrdkafka) {
    EXPECT_NE(problems_of([](auto& config) { config.set("properties[max.in.flight]", "100"); }).find("max.in.flight"),
              std::string::npos);
}

TEST(KafkaOptionsTest, PropertiesHaveNoSecretsNoCodeAndNothingThatAnOptionSets) {
    const auto said = [](const char* name) {
        return problems_of([&](auto& config) { config.set("properties[" + std::string(name) + "]", "x"); });
    };
    for (const char* secret : {"sasl.password", "ssl.key.password"})
        EXPECT_NE(said(secret).find("is set by security."), std::string::npos) << secret;
    for (const char* secret : {"ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.config"})
        EXPECT_NE(said(secret).find("secret"), std::string::npos) << secret;
    for (const char* code : {"plugin.library.paths", "ssl.engine.location", "sasl.kerberos.kinit.cmd"})
        EXPECT_NE(said(code).find("loads or runs code"), std::string::npos) << code;
    for (const char* own : {"acks", "enable.idempotence", "bootstrap.servers", "compression.codec", "linger.ms"})
        EXPECT_NE(said(own).find("is set by"), std::string::npos) << own;
}

TEST(KafkaOptionsTest, ScramNeedsAUserAndAPassword) {
    EXPECT_NE(problems_of([](auto& config) { config.set("security.protocol", "SASL_SSL"); }).find("security.password"),
              std::string::npos);
    const std::string complete = problems_of([](auto& config) {
        config.set("security.protocol", "SASL_SSL").set("security.username", "u").set("security.password", "p");
    });
    if (rd_kafka_version() < 0x020601ff)
        EXPECT_NE(complete.find("cannot authenticate by SCRAM with brokers of Kafka 4"), std::string::npos) << complete;
    else
        EXPECT_EQ(complete, "");
    EXPECT_NE(problems_of([](auto& config) {
                  config.set("security.username", "u").set("security.password", "p");
              }).find("is not used with PLAINTEXT"),
              std::string::npos);
    EXPECT_NE(problems_of([](auto& config) { config.set("security.caFile", "/etc/ca.pem"); }).find("PLAINTEXT"),
              std::string::npos);
}

TEST(KafkaOptionsTest, ATopicHasKafkasCharacters) {
    EXPECT_NE(problems_of([](auto& config) { config.set("topic", "a b"); }).find("is not a topic"), std::string::npos);
}

}  // namespace
}  // namespace flowd::kafka
