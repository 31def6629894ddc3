// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/stun_client.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flowd/testing/fake_host.hpp"
#include "tests/unit/net/fake_lookup.hpp"
#include "tests/unit/net/stun_server.hpp"

namespace flowd::firefly_backend {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class StunClientTest : public ::testing::Test {
  protected:
    void use(std::initializer_list<std::string> names) {
        std::vector<StunServer> servers;
        for (const std::string& name : names) servers.push_back(StunServer::parse(name).value());
        client_.use(std::move(servers));
    }
    [[nodiscard]] bool learns() {
        return fake_.run_until([&] { return client_.learnt().has_value(); });
    }
    [[nodiscard]] std::string status() const {
        std::string text;
        json::Writer writer(text);
        writer.object();
        client_.status(writer);
        writer.end();
        return text;
    }
    [[nodiscard]] bool shows(const std::string& part) const { return status().find(part) != std::string::npos; }
    /// All the time that a silent server is given.
    void pass_in_silence() {
        for (const int wait : {500, 1000, 2000, 4000}) fake_.advance(milliseconds(wait));
    }
    [[nodiscard]] std::string mapping() const {
        const auto& learnt = client_.learnt();
        return learnt ? learnt->local.to_string() + " " + learnt->global.to_string() + " " + learnt->server : "nothing";
    }

    net::StunServer server_, second_;
    std::shared_ptr<net::FakeLookup::Script> script_ = std::make_shared<net::FakeLookup::Script>();
    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw())).value();
    int changes_ = 0;
    StunClient client_{*host_, [this] { ++changes_; }, [this] { return std::make_unique<net::FakeLookup>(script_); }};
};

TEST_F(StunClientTest, SendsNothingWithoutServers) {
    use({});
    fake_.advance(minutes(20));
    EXPECT_EQ(status(), "{}");
    EXPECT_EQ(script_->asked, 0);
}

TEST_F(StunClientTest, LearnsThePublicAddress) {
    use({server_.name(), second_.name()});
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    ASSERT_TRUE(learns());
    EXPECT_EQ(mapping(), "127.0.0.1 198.51.100.7 " + server_.name());
    EXPECT_EQ(changes_, 1);
    EXPECT_TRUE(fake_.logged("the public address of 127.0.0.1 is 198.51.100.7, according to " + server_.name()));
    EXPECT_TRUE(
        shows(R"("stun":{"local":"127.0.0.1","public":"198.51.100.7","server":")" + server_.name() + R"(","time":"20)"))
        << status();
    EXPECT_TRUE(shows(R"("asked":1,"answered":1,"failed":0,"ignored":0,"lastError":"")")) << status();
    pass_in_silence();
    EXPECT_EQ(server_.requests(), 1u);
    EXPECT_EQ(second_.requests(), 0u) << "the first that answers wins";
    client_.publish();
    EXPECT_EQ(fake_.metric("firefly_stun_asked_total")->value, 1);
    EXPECT_EQ(fake_.metric("firefly_stun_answered_total")->value, 1);
    EXPECT_EQ(fake_.metric("firefly_stun_failed_total")->value, 0);
    EXPECT_EQ(fake_.metric("firefly_stun_ignored_total")->value, 0);
}

TEST_F(StunClientTest, AsksAgainAfterTenMinutesAndReportsOnlyChanges) {
    use({server_.name()});
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    ASSERT_TRUE(learns());
    fake_.advance(minutes(9));
    EXPECT_EQ(server_.requests(), 1u);
    fake_.advance(minutes(1));
    ASSERT_TRUE(server_.wait_for(2));
    EXPECT_EQ(server_.transactions(), 2u);
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    ASSERT_TRUE(fake_.run_until([&] { return shows(R"("answered":2)"); }));
    EXPECT_EQ(changes_, 1);
    fake_.advance(minutes(10));
    ASSERT_TRUE(server_.wait_for(3));
    ASSERT_TRUE(server_.answer("198.51.100.8"));
    ASSERT_TRUE(fake_.run_until([&] { return changes_ == 2; }));
    EXPECT_EQ(mapping(), "127.0.0.1 198.51.100.8 " + server_.name());
}

TEST_F(StunClientTest, RepeatsARequestThatIsNotAnsweredWithDoublePauses) {
    use({server_.name()});
    ASSERT_TRUE(server_.wait_for(1));
    fake_.advance(milliseconds(500));
    std::size_t sent = 2;
    for (const int wait : {1000, 2000}) {
        ASSERT_TRUE(server_.wait_for(sent));
        fake_.advance(milliseconds(wait / 2));
        EXPECT_EQ(server_.requests(), sent) << wait;
        fake_.advance(milliseconds(wait / 2));
        EXPECT_TRUE(server_.wait_for(++sent)) << wait;
    }
    EXPECT_EQ(server_.transactions(), 1u) << "a repetition has the id of the first";
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    EXPECT_TRUE(learns()) << "late is soon enough";
}

TEST_F(StunClientTest, AsksTheSecondServerIfTheFirstDoesNotAnswer) {
    use({server_.name(), second_.name()});
    pass_in_silence();
    ASSERT_TRUE(second_.answer("198.51.100.7"));
    ASSERT_TRUE(learns());
    EXPECT_EQ(mapping(), "127.0.0.1 198.51.100.7 " + second_.name());
    EXPECT_TRUE(server_.wait_for(4));
    EXPECT_TRUE(
        shows(R"("asked":2,"answered":1,"failed":1,"ignored":0,"lastError":")" + server_.name() + R"(: no answer")"))
        << status();
}

TEST_F(StunClientTest, WarnsOnceThatNoServerAnswersAndRetriesWithGrowingPauses) {
    use({server_.name()});
    std::size_t sent = 4;
    for (const int pause : {30, 60, 120, 240, 480, 600, 600}) {
        pass_in_silence();
        EXPECT_TRUE(server_.wait_for(sent)) << pause;
        fake_.advance(seconds(pause - 1));
        EXPECT_EQ(server_.requests(), sent) << pause;
        fake_.advance(seconds(1));
        EXPECT_TRUE(server_.wait_for(sent + 1)) << pause;
        sent += 4;
    }
    EXPECT_EQ(fake_.lines().size(), 1u);
    EXPECT_TRUE(fake_.logged("no STUN server answers with the public address (" + server_.name() +
                             ": no answer): fireflies show local addresses"));
    EXPECT_EQ(changes_, 0);
}

TEST_F(StunClientTest, KeepsTheAddressWhileNoServerAnswers) {
    use({server_.name()});
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    ASSERT_TRUE(learns());
    fake_.advance(minutes(10));
    pass_in_silence();
    EXPECT_TRUE(shows(R"("failed":1)")) << status();
    EXPECT_EQ(mapping(), "127.0.0.1 198.51.100.7 " + server_.name());
    EXPECT_TRUE(fake_.logged("the one that was learnt earlier"));
}

TEST_F(StunClientTest, IgnoresOtherDatagramsAndKeepsWaiting) {
    use({server_.name()});
    ASSERT_TRUE(server_.answer("203.0.113.1", {.id_error = std::byte{1}}));
    ASSERT_TRUE(server_.send(std::vector<std::byte>(1600)));
    ASSERT_TRUE(server_.send({}));
    ASSERT_TRUE(fake_.run_until([&] { return shows(R"("ignored":3)"); })) << status();
    EXPECT_EQ(mapping(), "nothing");
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    ASSERT_TRUE(learns());
    EXPECT_EQ(mapping(), "127.0.0.1 198.51.100.7 " + server_.name());
    EXPECT_EQ(changes_, 1);
}

TEST_F(StunClientTest, ReportsAServerThatSendsMalformedData) {
    use({server_.name()});
    ASSERT_TRUE(server_.answer("203.0.113.1", {.id_error = std::byte{1}}));
    ASSERT_TRUE(fake_.run_until([&] { return shows(R"("ignored":1)"); }));
    pass_in_silence();
    EXPECT_TRUE(shows(server_.name() + ": not an answer of a STUN server: its transaction id is of another request\""))
        << status();
}

TEST_F(StunClientTest, AsksTheNextServerAtOnceAfterARefusal) {
    const std::string dead = net::StunServer().name();
    use({dead, server_.name(), second_.name()});
    ASSERT_TRUE(fake_.run_until([&] { return shows(R"("asked":2)"); })) << status();
    EXPECT_TRUE(shows("Connection refused")) << status();
    ASSERT_TRUE(server_.answer("198.51.100.7", {.type = 0x0111}));
    ASSERT_TRUE(fake_.run_until([&] { return shows(R"("asked":3)"); })) << status();
    EXPECT_TRUE(shows("the server answered with an error")) << status();
    ASSERT_TRUE(second_.answer("198.51.100.7"));
    EXPECT_TRUE(learns());
}

TEST_F(StunClientTest, IgnoresInvalidPublicAddresses) {
    for (const char* odd : {"0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.0.1"}) {
        use({server_.name()});
        ASSERT_TRUE(server_.answer(odd));
        ASSERT_TRUE(fake_.run_until([&] { return shows(std::string(odd) + ", which is not a public address"); }))
            << status();
        EXPECT_EQ(mapping(), "nothing") << odd;
        use({});
    }
}

TEST_F(StunClientTest, AsksByNameWithoutWaitingForTheResolver) {
    const auto port = server_.name().substr(server_.name().find(':'));
    use({"stun.example.org" + port, "stun1.example.org" + port, "stun2.example.org" + port});
    EXPECT_EQ(script_->name, "stun.example.org");
    script_->fail("'stun.example.org': Name or service not known");
    ASSERT_TRUE(fake_.run_until([&] { return script_->asked == 2; }));
    EXPECT_TRUE(shows("Name or service not known")) << status();
    script_->give({"2001:db8::1"});
    ASSERT_TRUE(fake_.run_until([&] { return script_->asked == 3; }));
    EXPECT_TRUE(shows("stun1.example.org" + port + ": no IPv4 address")) << status();
    script_->give({"2001:db8::1", "127.0.0.1"});
    ASSERT_TRUE(fake_.run_until([&] { return server_.requests() == 1; }));
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    ASSERT_TRUE(learns());
    EXPECT_EQ(mapping(), "127.0.0.1 198.51.100.7 stun2.example.org" + port);
}

TEST_F(StunClientTest, ChangedServersAreAskedAtOnceAndTheOldAddressIsForgotten) {
    use({server_.name()});
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    ASSERT_TRUE(learns());
    use({second_.name(), server_.name()});
    EXPECT_EQ(mapping(), "127.0.0.1 198.51.100.7 " + server_.name()) << "it is still asked";
    ASSERT_TRUE(second_.wait_for(1));
    use({second_.name()});
    EXPECT_EQ(mapping(), "nothing");
    ASSERT_TRUE(second_.wait_for(2));
    ASSERT_TRUE(second_.answer("198.51.100.8"));
    ASSERT_TRUE(learns());
    EXPECT_EQ(mapping(), "127.0.0.1 198.51.100.8 " + second_.name());
}

TEST_F(StunClientTest, MayBeStoppedDuringARequest) {
    use({server_.name()});
    ASSERT_TRUE(server_.wait_for(1));
    client_.stop();
    pass_in_silence();
    EXPECT_EQ(server_.requests(), 1u);
    ASSERT_TRUE(server_.answer("198.51.100.7"));
    fake_.advance(minutes(20));
    EXPECT_EQ(mapping(), "nothing");
    use({"stun.example.org"});
    client_.stop();
    script_->give({"127.0.0.1"});
    fake_.advance(minutes(20));
    EXPECT_TRUE(shows(R"("asked":2,"answered":0,"failed":0)")) << status();
}

}  // namespace
}  // namespace flowd::firefly_backend
