// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/announcer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
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
    Connection& announce(std::size_t count) {
        return connections_.emplace_back([this, count](http::Reply& reply) {
            std::vector<Event> events;
            for (std::size_t i = 0; i < count; ++i)
                events.push_back(Event::start(make_key({*Address::parse("2001:db8::1"), static_cast<std::uint16_t>(i + 1)},
                                                       {*Address::parse("2001:db8::2"), 1094}, IPPROTO_TCP),
                                              {2, 16}));
            return announcer_.announce(std::move(events), "accepted", reply);
        });
    }

    testing::FakeHost fake_;
    Offers offers_{fake_};
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw()).value());
    Announcer announcer_{*host_, std::chrono::seconds(60),
                         [](http::Reply reply, http::Response response) { reply(std::move(response)); }};
    std::deque<Connection> connections_;
};

TEST_F(AnnouncerTest, OffersSomeEventsAtATime) {
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

TEST_F(AnnouncerTest, NamesThePlacesOfRefusedEventsInALongList) {
    fake_.accept(700, FLOWD_LIMIT);
    EXPECT_THAT(announce(702).answer(), AllOf(StartsWith("HTTP/1.1 429 "), HasSubstr(R"("refusedAt":[700,701])")));
}

TEST_F(AnnouncerTest, LetsNothingWaitOnceItStops) {
    announcer_.stop();
    EXPECT_THAT(announce(1).answer(), StartsWith("HTTP/1.1 200 ")) << "one try";
    fake_.accept(0);
    EXPECT_THAT(announce(1).answer(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("\r\nRetry-After: 1\r\n"),
                                            HasSubstr("the daemon is stopping")));
}

TEST_F(AnnouncerTest, CountsAsFullOnlyWhatFoundTheQueuesFull) {
    fake_.accept(0, FLOWD_STOPPED);
    EXPECT_THAT(announce(1).answer(), StartsWith("HTTP/1.1 503 "));
    EXPECT_EQ(announcer_.full(), 0u);
    fake_.accept(0);
    announce(Announcer::most_waiting + 1);
    EXPECT_EQ(announcer_.full(), 1u);
}

}  // namespace
}  // namespace flowd::api
