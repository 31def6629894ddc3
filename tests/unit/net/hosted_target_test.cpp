// SPDX-License-Identifier: Apache-2.0
#include "lib/net/hosted_target.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "flowd/testing/fake_host.hpp"
#include "tests/unit/net/fake_lookup.hpp"
#include "tests/unit/net/loopback.hpp"

namespace flowd::net {
namespace {

class HostedTargetTest : public ::testing::Test {
  protected:
    HostedTarget make(std::string name) {
        return HostedTarget(
            *host_,
            std::make_unique<Target>(std::move(name), receiver_.endpoint().port, std::make_unique<FakeLookup>(script_)),
            [](const Endpoint&) { return false; });
    }
    [[nodiscard]] std::size_t lines() const { return fake_.lines().size(); }

    Loopback receiver_;
    std::shared_ptr<FakeLookup::Script> script_ = std::make_shared<FakeLookup::Script>();
    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw())).value();
};

TEST_F(HostedTargetTest, ResolvesItsNameAndLogsItOnce) {
    auto target = make("collector.example.org");
    target.start();
    target.push("early");
    target.flush();
    EXPECT_EQ(lines(), 0u) << "waiting for a first answer is no news";
    script_->give({"::1"});
    ASSERT_TRUE(fake_.run_until([&] { return target.target().endpoint().has_value(); }));
    EXPECT_EQ(receiver_.wait_for(1), std::vector<std::string>{"early"});
    EXPECT_TRUE(fake_.logged("sending to collector.example.org"));
    EXPECT_EQ(lines(), 1u);
    target.stop(Deadline(0));
}

TEST_F(HostedTargetTest, LogsOnceThatANameIsUnknown) {
    auto target = make("collector.example.org");
    target.start();
    script_->fail("'collector.example.org': Name or service not known");
    ASSERT_TRUE(fake_.run_until([&] { return lines() > 0; }));
    EXPECT_TRUE(fake_.logged("cannot be reached"));
    target.push("lost");
    target.stop(Deadline(0));
    EXPECT_TRUE(fake_.logged("1 fireflies for collector.example.org"));
    EXPECT_EQ(target.target().sender().counts().dropped, 1u);
}

TEST_F(HostedTargetTest, LogsAllDatagramsLostWhileItWasUnreachable) {
    constexpr std::size_t offered = 40'000;
    auto target = make("collector.example.org");
    target.start();
    script_->fail("'collector.example.org': Name or service not known");
    ASSERT_TRUE(fake_.run_until([&] { return lines() > 0; }));
    for (std::size_t i = 0; i < offered; ++i) {
        target.push("x");
        target.flush();
    }
    EXPECT_TRUE(fake_.logged("the queue of fireflies is full"));
    EXPECT_EQ(lines(), 2u) << "said once";
    target.stop(Deadline(0));
    EXPECT_TRUE(fake_.logged("40000 fireflies for collector.example.org"));
    EXPECT_EQ(fake_.lost(), 40000u) << "it is in the exit code";
}

TEST_F(HostedTargetTest, LogsLostDatagramsWhenItIsReachableAgain) {
    auto target = make("collector.example.org");
    target.start();
    for (std::size_t i = 0; i < 1100; ++i) target.push("x");
    target.flush();
    script_->give({"::1"});
    ASSERT_TRUE(fake_.run_until([&] { return target.target().endpoint().has_value(); }));
    EXPECT_TRUE(fake_.logged("; fireflies dropped before: 76"));
    target.stop(Deadline(0));
    EXPECT_FALSE(fake_.logged("could not be sent before the stop")) << "that was said already";
}

TEST_F(HostedTargetTest, ShowsItsCountersInStatus) {
    auto target = make("::1");
    target.start();
    target.push("x");
    target.flush();
    std::string text;
    json::Writer writer(text);
    target.status(writer);
    EXPECT_NE(text.find(R"("state":"sending","sent":1,"failed":0,"dropped":0,"refused":0,"waiting":0,"lastError":""})"),
              std::string::npos)
        << text;
    target.stop(Deadline(0));
}

TEST_F(HostedTargetTest, LogsOnceThatNobodyListensAndOnceThatSomebodyListensAgain) {
    const Endpoint endpoint = receiver_.endpoint();
    auto target = make("::1");
    target.start();
    receiver_ = Loopback();
    for (int i = 0; i < 10; ++i) {
        target.push("x");
        target.flush();
    }
    EXPECT_TRUE(fake_.logged("refuses fireflies (Connection refused)"));
    EXPECT_EQ(lines(), 2u) << "sending to it, and that it refuses";
    std::string text;
    json::Writer writer(text);
    target.status(writer);
    EXPECT_NE(text.find(R"("state":"refused","nextTrySeconds":)"), std::string::npos) << text;

    Loopback again(endpoint);
    ASSERT_TRUE(fake_.run_until([&] { return target.target().state() == Target::State::sending; }));
    EXPECT_EQ(again.wait_for(9).size(), 9u) << "what waited: all but the one that found nobody";
    EXPECT_EQ(lines(), 3u);
    target.stop(Deadline(0));
}

}  // namespace
}  // namespace flowd::net
