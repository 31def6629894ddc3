// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/announcer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flowd/testing/fake_host.hpp"
#include "tests/unit/api/connection.hpp"

namespace flowd::api {
namespace {

using test::Connection;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// The fake core's emit, which also notes the most events that it was offered at a time.
struct Offers {
    explicit Offers(testing::FakeHost& host) {
        most = 0;
        emit = host.raw()->emit;
        host.mutable_raw().emit = [](const flowd_host* raw, const flowd_event* events, std::size_t count,
                                     std::size_t stride, std::size_t* accepted, std::uint64_t* flow_ids) {
            most = std::max(most, count);
            return emit(raw, events, count, stride, accepted, flow_ids);
        };
    }
    static inline std::size_t most = 0;
    static inline decltype(flowd_host::emit) emit = nullptr;
};

class AnnouncerTest : public ::testing::Test {
  protected:
    explicit AnnouncerTest(std::chrono::milliseconds taken_timeout = std::chrono::seconds(60),
                           std::chrono::milliseconds patience = std::chrono::seconds(60))
        : taken_timeout_(taken_timeout), patience_(patience) {}
    static Event start(std::size_t i) {
        return Event::start(make_key({*Address::parse("2001:db8::1"), static_cast<std::uint16_t>(i + 1)},
                                     {*Address::parse("2001:db8::2"), 1094}, IPPROTO_TCP),
                            {2, 16});
    }
    Connection& announce(std::size_t count) {
        return connections_.emplace_back([this, count](http::Reply& reply) {
            std::vector<Event> events;
            for (std::size_t i = 0; i < count; ++i) events.push_back(start(i));
            return announcer_.announce(std::move(events), "accepted", wait_, at_once_, reply);
        });
    }
    /// As of a body whose flows are answered one by one.
    Connection& announce_each(std::size_t count, std::size_t refused) {
        return connections_.emplace_back([this, count, refused](http::Reply& reply) {
            EachFlow each;
            for (std::size_t i = 0; i < count; ++i) {
                each.events.push_back(start(i));
                each.places.push_back(i);
            }
            for (std::size_t i = 0; i < refused; ++i) each.refused.push_back({count + i, "a reason"});
            return announcer_.announce(std::move(each), wait_, at_once_, reply);
        });
    }
    /// As with wait=taken.
    Connection& announce_and_wait(std::size_t count = 1) {
        wait_ = Announcer::Wait::taken;
        return announce(count);
    }

    testing::FakeHost fake_;
    Offers offers_{fake_};
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw()).value());
    std::chrono::milliseconds taken_timeout_, patience_;
    Announcer announcer_{*host_, patience_, taken_timeout_,
                         [](http::Reply reply, http::Response response) { reply(std::move(response)); },
                         [this](std::function<void()> handler) { turns_.push_back(std::move(handler)); }};
    std::vector<std::function<void()>> turns_;  ///< called at the end of a turn of the loop
    bool at_once_ = true;
    Announcer::Wait wait_ = Announcer::Wait::accepted;
    std::deque<Connection> connections_;
};

TEST_F(AnnouncerTest, OffersEventsInBatches) {
    fake_.accept(1000);
    const Connection& waits = announce(5000);
    EXPECT_THAT(waits.answer(), IsEmpty());
    fake_.accept_all();
    announcer_.on_room();
    EXPECT_THAT(waits.answer(), HasSubstr("accepted"));
    const auto events = fake_.events();
    ASSERT_EQ(events.size(), 5000u);
    for (std::size_t i = 0; i < events.size(); ++i) ASSERT_EQ(source_of(events[i]->key).port, i + 1);
    EXPECT_LE(Offers::most, 256u) << "what a small queue does not take is made ready in vain";
}

TEST_F(AnnouncerTest, AnnouncesTheRequestsOfATurnTogether) {
    at_once_ = false;
    Offers::most = 0;
    const Connection& first = announce(1);
    const Connection& second = announce(2);
    EXPECT_THAT(first.answer(), IsEmpty());
    EXPECT_EQ(announcer_.waited(), 0u) << "it does not wait for room";
    ASSERT_EQ(turns_.size(), 1u);
    std::exchange(turns_, {}).front()();
    EXPECT_EQ(Offers::most, 3u);
    for (const Connection* one : {&first, &second}) EXPECT_THAT(one->answer(), StartsWith("HTTP/1.1 200 "));
    const Connection& third = announce(1);
    EXPECT_EQ(turns_.size(), 1u) << "in the next turn";
    at_once_ = true;
    EXPECT_THAT(announce(1).answer(), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(third.answer(), StartsWith("HTTP/1.1 200 ")) << "in their order";
}

TEST_F(AnnouncerTest, TellsTheRequestsOfATurnApart) {
    at_once_ = false;
    fake_.accept(2, FLOWD_LIMIT);
    const Connection& first = announce(1);
    const Connection& second = announce(2);
    turns_.front()();
    EXPECT_THAT(first.answer(), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(second.answer(), AllOf(StartsWith("HTTP/1.1 429 "), HasSubstr(R"("refusedAt":[1])")));
}

TEST_F(AnnouncerTest, AnswersWhatWasTakenWhileTheRestWaitsForRoom) {
    at_once_ = false;
    fake_.accept(1);
    const Connection& first = announce(1);
    const Connection& second = announce(2);
    const Connection& third = announce(1);
    turns_.front()();
    EXPECT_THAT(first.answer(), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(second.answer(), IsEmpty());
    EXPECT_EQ(announcer_.waited(), 2u);
    fake_.accept(2);
    announcer_.on_room();
    EXPECT_THAT(second.answer(), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(third.answer(), IsEmpty());
    announcer_.stop();
    EXPECT_THAT(third.answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("the daemon is stopping")));
    EXPECT_EQ(fake_.events().size(), 3u);
}

TEST_F(AnnouncerTest, NamesTheIndicesOfRefusedEvents) {
    fake_.accept(700, FLOWD_LIMIT);
    EXPECT_THAT(announce(702).answer(), AllOf(StartsWith("HTTP/1.1 429 "), HasSubstr(R"("refusedAt":[700,701])")));
}

TEST_F(AnnouncerTest, LimitsWhatWaitsForRoomIncludingWhatIsRefusedAlready) {
    constexpr std::size_t most = Announcer::most_waiting;
    for (int round = 0; round < 2; ++round) {
        fake_.accept(0);
        const Connection& first = announce_each(1, most / 2);
        const Connection& second = announce_each(1, most / 2 - 2);
        EXPECT_THAT(announce_each(1, 0).answer(), StartsWith("HTTP/1.1 503 "));
        EXPECT_THAT(first.answer() + second.answer(), IsEmpty());
        fake_.accept(0, FLOWD_LIMIT);
        announcer_.on_room();
        for (const Connection* one : {&first, &second}) EXPECT_THAT(one->answer(), StartsWith("HTTP/1.1 200 "));
    }
}

TEST_F(AnnouncerTest, WaitsAfterATemporaryErrorOfTheCore) {
    fake_.accept(1, FLOWD_NO_MEMORY);
    const Connection& waits = announce(2);
    const Connection& behind = announce(1);
    EXPECT_THAT(waits.answer(), IsEmpty());
    fake_.accept_all();
    fake_.advance(Outbox::first_pause);
    EXPECT_THAT(waits.answer(), StartsWith("HTTP/1.1 200 ")) << "although nobody says that there is room";
    EXPECT_THAT(behind.answer(), StartsWith("HTTP/1.1 200 "));
    EXPECT_EQ(fake_.events().size(), 3u);
}

TEST_F(AnnouncerTest, ReportsThatTheCoreDidNotTakeAnEvent) {
    fake_.accept(0, FLOWD_NO_MEMORY);
    const Connection& waits = announce(1);
    for (int i = 0; i < Outbox::most_tries; ++i) fake_.advance(Outbox::last_pause);
    EXPECT_THAT(waits.answer(),
                AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("could not take it"), HasSubstr(R"("accepted":0)")));
    EXPECT_EQ(announcer_.full(), 0u);
}

class HastyAnnouncerTest : public AnnouncerTest {
  protected:
    HastyAnnouncerTest() : AnnouncerTest(std::chrono::seconds(60), std::chrono::milliseconds(20)) {}
};

TEST_F(HastyAnnouncerTest, ContinuesWithTheNextRequestAfterATimeout) {
    fake_.accept(100);
    const Connection& first = announce(200);
    const Connection& second = announce(3);
    ASSERT_TRUE(fake_.run_until([&] { return !second.answer().empty(); }));
    EXPECT_THAT(first.answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr(R"("accepted":100)")));
    EXPECT_THAT(second.answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr(R"("accepted":0)")));
    fake_.accept_all();
    announcer_.on_room();
    EXPECT_EQ(fake_.events().size(), 100u) << "what was answered is not announced later";
    EXPECT_THAT(announce(1).answer(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AnnouncerTest, AnswersAllWaitingRequestsWhenItStops) {
    announcer_.stop();
    EXPECT_THAT(announce(1).answer(), StartsWith("HTTP/1.1 200 ")) << "one try";
    fake_.accept(0);
    EXPECT_THAT(announce(1).answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("\r\nRetry-After: 1\r\n"),
                                            HasSubstr("the daemon is stopping")));
}

TEST_F(AnnouncerTest, AnswersOnceEveryBackendHasTakenTheEvents) {
    const Connection& first = announce_and_wait();
    const Connection& second = announce_and_wait();
    EXPECT_THAT(first.answer(), IsEmpty());
    EXPECT_EQ(fake_.events().size(), 2u);
    fake_.pass_marks();
    EXPECT_THAT(first.answer(), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(second.answer(), IsEmpty());
    EXPECT_EQ(announcer_.delivery().waiting(), 1u);
    fake_.pass_marks();
    EXPECT_THAT(second.answer(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AnnouncerTest, WaitsForTheBackendsAfterItWaitedForRoom) {
    fake_.accept(1);
    const Connection& waits = announce_and_wait(2);
    EXPECT_EQ(fake_.marks(), 0u) << "a mark is for what was emitted before it";
    fake_.accept_all();
    announcer_.on_room();
    EXPECT_THAT(waits.answer(), IsEmpty());
    fake_.pass_marks();
    EXPECT_THAT(waits.answer(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AnnouncerTest, AnswersAtOnceWhenAnEventIsRefused) {
    fake_.accept(1, FLOWD_LIMIT);
    EXPECT_THAT(announce_and_wait(2).answer(), AllOf(StartsWith("HTTP/1.1 429 "), HasSubstr(R"("accepted":1)")));
    EXPECT_EQ(fake_.marks(), 0u);
}

class ImpatientAnnouncerTest : public AnnouncerTest {
  protected:
    ImpatientAnnouncerTest() : AnnouncerTest(std::chrono::milliseconds(1)) {}
};

TEST_F(ImpatientAnnouncerTest, WaitsForTheBackendsUntilATimeout) {
    const Connection& late = announce_and_wait();
    const Connection& last = announce_and_wait();
    ASSERT_TRUE(fake_.run_until([&] { return announcer_.delivery().waiting() == 0; }));
    for (const Connection* one : {&late, &last})
        EXPECT_THAT(one->answer(), AllOf(StartsWith("HTTP/1.1 504 "), HasSubstr("\r\nRetry-After: 1\r\n"),
                                         HasSubstr("has taken the events in time"), HasSubstr(R"("accepted":1)")));
    EXPECT_EQ(announcer_.delivery().timed_out(), 2u);
    fake_.pass_marks(2);
    EXPECT_THAT(announce_and_wait().answer(), IsEmpty()) << "the marks that came late were of the others";
}

TEST_F(ImpatientAnnouncerTest, KeepsNoResponseAfterATimeout) {
    wait_ = Announcer::Wait::taken;
    const auto one_takes_most = [&] { return announce_each(1, DeliveryWait::most_bytes / 48).answer(); };
    EXPECT_THAT(one_takes_most(), IsEmpty());
    ASSERT_TRUE(fake_.run_until([&] { return announcer_.delivery().waiting() == 0; }));
    EXPECT_THAT(one_takes_most(), IsEmpty());
}

TEST_F(AnnouncerTest, LimitsTheRequestsThatWaitForTheBackends) {
    for (std::size_t i = 0; i < DeliveryWait::most_outstanding; ++i) announce_and_wait();
    EXPECT_THAT(announce_and_wait().answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("too many requests wait")));
    fake_.pass_marks();
    EXPECT_THAT(announce_and_wait().answer(), IsEmpty());
}

TEST_F(AnnouncerTest, LimitsTheTextOfTheResponsesThatWaitForTheBackends) {
    wait_ = Announcer::Wait::taken;
    std::size_t waiting = 0;
    const auto fill = [&] {
        while (announce_each(1, 10'000).answer().empty()) ++waiting;
    };
    fill();
    const std::size_t most = waiting;
    EXPECT_LT(most, 100u);
    EXPECT_THAT(connections_.back().answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("too many requests wait")));
    EXPECT_THAT(announce(1).answer(), IsEmpty()) << "a short one is not refused";
    fake_.pass_marks(most + 1);
    waiting = 0;
    fill();
    EXPECT_EQ(waiting, most);
}

TEST_F(AnnouncerTest, AnswersRequestsThatWaitForTheBackendsWhenItStops) {
    const Connection& waits = announce_and_wait();
    announcer_.stop();
    EXPECT_THAT(waits.answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("stops before every backend")));
    EXPECT_THAT(announce_and_wait().answer(), StartsWith("HTTP/1.1 503 ")) << "no mark is passed any more";
    EXPECT_EQ(fake_.marks(), 1u);
    fake_.pass_marks();
}

TEST_F(AnnouncerTest, PassesTheMarkOfAConnectionThatWasClosed) {
    Connection& gone = announce_and_wait();
    const Connection& stays = announce_and_wait();
    gone.close();
    fake_.pass_marks(2);
    EXPECT_THAT(stays.answer(), StartsWith("HTTP/1.1 200 "));
    EXPECT_EQ(announcer_.delivery().waiting(), 0u);
}

TEST_F(AnnouncerTest, ReportsWhyTheCoreRefusedAMark) {
    fake_.answer_marks(FLOWD_LIMIT);
    EXPECT_THAT(announce_and_wait().answer(), StartsWith("HTTP/1.1 503 "));
    fake_.answer_marks(FLOWD_STOPPED);
    EXPECT_THAT(announce_and_wait().answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("stops before")));
    fake_.answer_marks(FLOWD_UNSUPPORTED);
    EXPECT_THAT(announce_and_wait().answer(), StartsWith("HTTP/1.1 501 "));
}

TEST_F(AnnouncerTest, CountsOnlyFullQueuesAsFull) {
    fake_.accept(0, FLOWD_STOPPED);
    EXPECT_THAT(announce(1).answer(), StartsWith("HTTP/1.1 503 "));
    EXPECT_EQ(announcer_.full(), 0u);
    fake_.accept(0);
    announce(Announcer::most_waiting + 1);
    EXPECT_EQ(announcer_.full(), 1u);
}

}  // namespace
}  // namespace flowd::api
