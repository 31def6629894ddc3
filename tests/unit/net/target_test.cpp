// SPDX-License-Identifier: Apache-2.0
#include "lib/net/target.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "lib/net/target_findings.hpp"
#include "tests/unit/net/fake_lookup.hpp"
#include "tests/unit/net/loopback.hpp"

namespace flowd::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class NamedTarget : public ::testing::Test {
  protected:
    void tick() {
        due_ = target_.tick(now_, [this](const Endpoint& endpoint) { return endpoint == forbidden_; });
    }
    void pass(milliseconds time) {
        now_ += time;
        tick();
    }
    [[nodiscard]] milliseconds until_due() const { return std::chrono::duration_cast<milliseconds>(due_ - now_); }
    [[nodiscard]] std::string address() const { return target_.endpoint() ? target_.endpoint()->address.to_string() : ""; }

    Loopback receiver_{"::"};
    Endpoint forbidden_{};
    std::shared_ptr<FakeLookup::Script> script_ = std::make_shared<FakeLookup::Script>();
    Target target_{"collector.example.org", receiver_.endpoint().port, std::make_unique<FakeLookup>(script_),
                   Target::Schedule{}, 16};
    Target::Clock::time_point now_ = Target::Clock::now();
    Target::Clock::time_point due_{};
};

TEST_F(NamedTarget, QueuesDatagramsUntilItsNameIsResolved) {
    tick();
    EXPECT_EQ(script_->name, "collector.example.org");
    EXPECT_EQ(until_due(), milliseconds(50)) << "it looks again soon";
    for (int i = 0; i < 18; ++i) target_.push(std::to_string(i));
    EXPECT_TRUE(target_.flush(now_));
    EXPECT_EQ(target_.sender().counts().dropped, 2u) << "but not for ever";

    script_->give({"::1"});
    pass(milliseconds(50));
    EXPECT_EQ(target_.trouble(), "");
    EXPECT_TRUE(target_.flush(now_));
    EXPECT_EQ(receiver_.wait_for(16).size(), 16u);
    EXPECT_EQ(script_->asked, 1);
}

TEST_F(NamedTarget, IsResolvedAgainAndFollowsTheResult) {
    tick();
    script_->give({"::1"});
    pass(milliseconds(50));
    EXPECT_EQ(until_due(), seconds(60));
    pass(seconds(60));
    EXPECT_EQ(script_->asked, 2);
    script_->give({"127.0.0.1"});
    pass(milliseconds(50));
    EXPECT_EQ(address(), "127.0.0.1");
    target_.push("moved");
    target_.flush(now_);
    EXPECT_EQ(receiver_.wait_for(1), std::vector<std::string>{"moved"});
}

TEST_F(NamedTarget, KeepsItsAddressWhileItIsAmongTheAnswers) {
    tick();
    script_->give({"::1"});
    pass(milliseconds(50));
    const int before = target_.fd();
    pass(seconds(60));
    script_->give({"127.0.0.1", "::1"});
    pass(milliseconds(50));
    EXPECT_EQ(address(), "::1");
    EXPECT_EQ(target_.fd(), before);
}

TEST_F(NamedTarget, HasNotFailedBeforeTheResolverAnswers) {
    tick();
    EXPECT_EQ(target_.trouble_kind(), Target::Trouble::none);
    script_->fail("the resolver is away");
    pass(milliseconds(50));
    EXPECT_EQ(target_.trouble_kind(), Target::Trouble::name);
}

TEST_F(NamedTarget, ItsTroubleFitsASummaryWithTheTimeWhateverTheLengthOfItsName) {
    const Target target(std::string(60, 'x') + ".example.org", 10514, std::make_unique<FakeLookup>(script_),
                        Target::Schedule{}, 16);
    const std::string text = trouble_text(target);
    EXPECT_EQ(text.size(), 60u);
    EXPECT_NE(text.find("...: resolving since "), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with(" UTC")) << text;
}

TEST_F(NamedTarget, SaysSinceWhenItHasNotBeenSending) {
    tick();
    const std::int64_t since = target_.trouble_since_ns();
    EXPECT_NE(since, 0) << "it has not been sending since it was created";
    script_->fail("the resolver is away");
    pass(milliseconds(50));
    EXPECT_EQ(target_.trouble_since_ns(), since) << "the same trouble continues";
    pass(seconds(1));
    script_->give({"::1"});
    pass(milliseconds(50));
    EXPECT_EQ(target_.trouble_since_ns(), 0);
}

TEST_F(NamedTarget, KeepsTheOldAddressIfTheResolverFails) {
    tick();
    script_->give({"::1"});
    pass(milliseconds(50));
    pass(seconds(60));
    script_->fail("the resolver is away");
    pass(milliseconds(50));
    EXPECT_EQ(target_.trouble(), "the resolver is away");
    EXPECT_EQ(address(), "::1");
    target_.push("still there");
    target_.flush(now_);
    EXPECT_EQ(receiver_.wait_for(1).size(), 1u);
}

TEST_F(NamedTarget, IsResolvedLessOftenWhileResolutionFails) {
    tick();
    milliseconds expected{1000};
    for (int i = 0; i < 8; ++i) {
        script_->fail("no such name");
        pass(milliseconds(50));
        EXPECT_EQ(until_due(), expected);
        expected = std::min(expected * 2, milliseconds(60'000));
        pass(until_due());
        EXPECT_EQ(script_->asked, i + 2);
    }
}

class RefusedTarget : public NamedTarget {
  protected:
    /// Connected to a port at which nobody listens any more, and told so.
    void SetUp() override {
        tick();
        script_->give({"::1"});
        pass(milliseconds(50));
        port_ = receiver_.endpoint().port;
        receiver_ = Loopback();
        send(3);
        ASSERT_EQ(target_.state(), Target::State::refused);
    }
    void send(int count) {
        for (int i = 0; i < count; ++i) {
            target_.push("x");
            target_.flush(now_);
        }
    }
    /// Until the next attempt, and through the resolver's answer to its probe.
    void attempt(std::initializer_list<const char*> addresses) {
        now_ = target_.due();
        tick();
        script_->give(addresses);
        pass(milliseconds(50));
    }
    void judge() {
        now_ = target_.due();
        tick();
    }
    std::uint16_t port_ = 0;
};

TEST_F(RefusedTarget, IsProbedWithOneDatagramAndGrowingPauses) {
    EXPECT_EQ(target_.trouble(), "Connection refused");
    EXPECT_EQ(target_.due() - now_, seconds(1)) << "soon at first";
    for (const int pause : {2, 4, 8, 16, 32, 60, 60}) {
        const auto sent = target_.sender().counts().sent;
        const int asked = script_->asked;
        attempt({"::1"});
        EXPECT_EQ(script_->asked, asked + 1) << "the name may have moved";
        EXPECT_EQ(target_.sender().counts().sent, sent + 1);
        judge();
        EXPECT_EQ(target_.due() - now_, seconds(pause));
        EXPECT_EQ(target_.state(), Target::State::refused);
        send(1);
        EXPECT_EQ(target_.sender().counts().sent, sent + 1) << "nothing but probes";
    }
}

TEST_F(RefusedTarget, SendsQueuedDatagramsWhenItIsReachableAgain) {
    send(5);
    const auto waiting = target_.sender().waiting();
    Loopback again = Loopback(Endpoint{Address::parse("::1").value(), port_});
    attempt({"::1"});
    EXPECT_EQ(again.wait_for(1).size(), 1u);
    judge();
    EXPECT_EQ(target_.state(), Target::State::sending);
    EXPECT_EQ(target_.trouble(), "");
    EXPECT_EQ(target_.due() - now_, seconds(60));
    EXPECT_TRUE(target_.flush(now_));
    EXPECT_EQ(again.wait_for(waiting).size(), waiting);
}

TEST_F(RefusedTarget, TriesTheNextAddressOfItsName) {
    attempt({"::1", "127.0.0.1"});
    EXPECT_EQ(address(), "127.0.0.1");
    judge();
    attempt({"::1", "127.0.0.1"});
    EXPECT_EQ(address(), "::1");
}

TEST_F(RefusedTarget, IsProbedAtItsLastAddressIfItsNameNoLongerResolves) {
    Loopback again = Loopback(Endpoint{Address::parse("::1").value(), port_});
    now_ = target_.due();
    tick();
    script_->fail("the resolver is away");
    pass(milliseconds(50));
    EXPECT_EQ(again.wait_for(1).size(), 1u);
    judge();
    EXPECT_EQ(target_.state(), Target::State::sending);
}

TEST_F(RefusedTarget, WithNothingToSendIsProbedLater) {
    target_.discard();
    attempt({"::1"});
    EXPECT_EQ(target_.state(), Target::State::refused) << "nobody can know";
    send(1);
    Loopback again = Loopback(Endpoint{Address::parse("::1").value(), port_});
    attempt({"::1"});
    judge();
    EXPECT_EQ(target_.state(), Target::State::sending);
}

TEST_F(NamedTarget, IsNeverAnAddressOfThisDaemon) {
    forbidden_ = {Address::parse("::1").value(), receiver_.endpoint().port};
    tick();
    script_->give({"::1"});
    pass(milliseconds(50));
    EXPECT_EQ(target_.fd(), -1);
    EXPECT_NE(target_.trouble().find("loop"), std::string::npos) << target_.trouble();
    pass(until_due());
    script_->give({"::1", "127.0.0.1"});
    pass(milliseconds(50));
    EXPECT_EQ(address(), "127.0.0.1") << "the next one will do";
}

TEST_F(NamedTarget, StopsSendingWhenItsAddressBecomesOurOwn) {
    tick();
    script_->give({"::1"});
    pass(milliseconds(50));
    forbidden_ = *target_.endpoint();
    pass(seconds(60));
    script_->give({"::1"});
    pass(milliseconds(50));
    EXPECT_EQ(target_.fd(), -1);
}

TEST_F(NamedTarget, IsNeitherMulticastNorUnspecified) {
    tick();
    script_->give({"ff02::1", "::", "0.0.0.0", "224.0.0.1"});
    pass(milliseconds(50));
    EXPECT_EQ(target_.fd(), -1);
    EXPECT_NE(target_.trouble(), "");
}

TEST(LiteralTarget, NeedsNoResolver) {
    Loopback receiver;
    const auto script = std::make_shared<FakeLookup::Script>();
    Target target("[::1]", receiver.endpoint().port, std::make_unique<FakeLookup>(script));
    const auto now = Target::Clock::now();
    (void)target.tick(now, [](const Endpoint&) { return false; });
    EXPECT_EQ(script->asked, 0);
    EXPECT_EQ(target.name(), receiver.endpoint().to_string());
    target.push("hello");
    EXPECT_TRUE(target.flush(now));
    EXPECT_EQ(receiver.wait_for(1), std::vector<std::string>{"hello"});
    EXPECT_GT(target.path_payload(), 1000u);
}

}  // namespace
}  // namespace flowd::net
