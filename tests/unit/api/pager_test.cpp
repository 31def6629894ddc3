// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/pager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "flowd/testing/fake_host.hpp"
#include "tests/unit/api/connection.hpp"

namespace flowd::api {
namespace {

using std::chrono::milliseconds;
using test::Connection;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const auto turned_away = AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("\r\nRetry-After: 1\r\n"));

/// A pager whose clock is the test's: a look takes as long as the test says, and a pause is over when the test lets it be.
class PagerTest : public ::testing::Test {
  protected:
    std::string page(const PageRequest& request) {
        looks_.push_back(request.after);
        now_ += look_;
        if (request.after == broken_) throw std::runtime_error("on purpose");
        return "page " + std::to_string(request.after);
    }
    Connection& ask(std::uint64_t after) {
        return connections_.emplace_back([this, after](http::Reply& reply) {
            PageRequest request;
            request.after = after;
            return pager_.answer(request, reply);
        });
    }
    void pass(milliseconds time) {
        now_ += time;
        fake_.advance(time);
        fake_.poll();  // for what has become due by that
    }
    /// One look, and others behind it that wait.
    void ask_many(std::size_t waiting) {
        for (std::size_t i = 0; i <= waiting; ++i) ask(i);
    }

    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw()).value());
    Pager::Clock::time_point now_ = Pager::Clock::now();
    milliseconds look_{100};
    std::uint64_t broken_ = 1'000'000;
    std::vector<std::uint64_t> looks_;
    Pager pager_{*host_, [this](const PageRequest& request) { return page(request); },
                 [](http::Reply reply, http::Response response) { reply(std::move(response)); }, [this] { return now_; }};
    std::deque<Connection> connections_;
};

TEST_F(PagerTest, LooksAtOnceWhileLooksAreShort) {
    look_ = milliseconds(1);
    for (const std::uint64_t after : {1u, 2u, 3u}) EXPECT_THAT(ask(after).answer(), HasSubstr("page "));
    EXPECT_EQ(pager_.waited(), 0u);
}

TEST_F(PagerTest, PausesFourTimesAsLongAsALookTook) {
    EXPECT_THAT(ask(1).answer(), HasSubstr("page 1"));
    const Connection& second = ask(2);
    const Connection& third = ask(3);
    pass(milliseconds(399));
    EXPECT_THAT(looks_, ElementsAre(1));
    pass(milliseconds(1));
    EXPECT_THAT(second.answer(), HasSubstr("page 2"));
    EXPECT_THAT(third.answer(), IsEmpty());
    pass(milliseconds(400));
    EXPECT_THAT(third.answer(), HasSubstr("page 3"));
    EXPECT_EQ(pager_.waited(), 2u);
    pass(milliseconds(400));
    EXPECT_THAT(ask(4).answer(), HasSubstr("page 4")) << "nobody is in front of it";
}

TEST_F(PagerTest, BoundsWhatWaits) {
    ask_many(Pager::most_waiting);
    EXPECT_THAT(ask(99).answer(), turned_away) << "at once";
    pass(milliseconds(400));
    EXPECT_THAT(ask(100).answer(), IsEmpty()) << "there is a place again";
}

TEST_F(PagerTest, SpendsNothingOnThoseWhoHaveLeft) {
    ask(1);
    ask(2);
    ask(3).close();
    const Connection& last = ask(4);
    connections_[1].close();
    pass(milliseconds(400));
    EXPECT_THAT(looks_, ElementsAre(1, 4));
    EXPECT_THAT(last.answer(), HasSubstr("page 4"));
}

TEST_F(PagerTest, TurnsAwayWhatHasWaitedTooLong) {
    look_ = Pager::patience;  // the pause is far longer
    ask(1);
    const Connection& second = ask(2);
    pass(milliseconds(1));
    const Connection& third = ask(3);
    pass(Pager::patience - milliseconds(1));
    EXPECT_THAT(second.answer(), turned_away);
    EXPECT_THAT(third.answer(), IsEmpty());
    pass(milliseconds(1));
    EXPECT_THAT(third.answer(), turned_away);
    EXPECT_THAT(looks_, ElementsAre(1));
}

TEST_F(PagerTest, GoesOnAfterALookThatFailed) {
    broken_ = 2;
    ask(1);
    const Connection& failing = ask(2);
    const Connection& next = ask(3);
    pass(milliseconds(400));
    EXPECT_THAT(failing.answer(), StartsWith("HTTP/1.1 500 "));
    pass(milliseconds(400));
    EXPECT_THAT(next.answer(), HasSubstr("page 3"));
}

TEST_F(PagerTest, TurnsAwayWhatWaitsWhenItStops) {
    ask_many(3);
    pager_.stop();
    for (std::size_t i = 1; i <= 3; ++i) EXPECT_THAT(connections_[i].answer(), turned_away) << i;
    EXPECT_THAT(looks_, ElementsAre(0));
}

TEST_F(PagerTest, LetsNothingWaitOnceItStops) {
    ask(1);
    pager_.stop();
    EXPECT_THAT(ask(2).answer(), turned_away) << "no timer would come";
    now_ += milliseconds(400);
    EXPECT_THAT(ask(3).answer(), HasSubstr("page 3"));
}

}  // namespace
}  // namespace flowd::api
