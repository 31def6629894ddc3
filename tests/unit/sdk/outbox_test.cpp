// SPDX-License-Identifier: Apache-2.0
#include "flowd/outbox.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flowd/testing/fake_host.hpp"

namespace flowd {
namespace {

class OutboxTest : public ::testing::Test {
  protected:
    using Results = std::vector<std::pair<std::uint64_t, flowd_result>>;

    static flowd_key key(std::uint32_t number) {
        return make_key({*Address::parse("2001:db8::1"), static_cast<std::uint16_t>(1000 + number)},
                        {*Address::parse("2001:db8::2"), 1094}, 6);
    }
    static Event start(std::uint32_t number) { return Event::start(key(number), {1, 2}); }
    /// So many starts, numbered from 0, which is also their token.
    void add(std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i) outbox_.add(start(i), i);
    }
    [[nodiscard]] std::vector<std::uint32_t> emitted() const {
        std::vector<std::uint32_t> numbers;
        for (const auto& event : fake_.events()) numbers.push_back(event->key.source_port - 1000u);
        return numbers;
    }

    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = Host::make(fake_.raw()).value();
    std::vector<bool> room_;
    Results settled_;
    std::vector<std::uint64_t> flows_;
    Outbox outbox_{*host_, [this](bool has_room) { room_.push_back(has_room); },
                   [this](const Outbox::Settled& settled) {
                       settled_.emplace_back(settled.token, settled.result);
                       flows_.push_back(settled.flow_id);
                   }};
};

TEST_F(OutboxTest, EmitsPutEventsAtOnce) {
    EXPECT_TRUE(outbox_.put(start(0).application("hello").attach("example.org/1", "bytes")));
    ASSERT_EQ(fake_.events().size(), 1u);
    EXPECT_EQ(fake_.events()[0].application, "hello");
    EXPECT_EQ(fake_.events()[0].attachments.size(), 1u);
    EXPECT_EQ(outbox_.waiting(), 0u);
    EXPECT_EQ(outbox_.taken()[FLOWD_EVENT_START], 1u);
    EXPECT_TRUE(room_.empty());
}

TEST_F(OutboxTest, EmitsAddedEventsTogetherAndInOrder) {
    add(4);
    EXPECT_TRUE(fake_.events().empty());
    EXPECT_TRUE(outbox_.flush());
    EXPECT_EQ(emitted(), (std::vector<std::uint32_t>{0, 1, 2, 3}));
    EXPECT_EQ(settled_, (Results{{0, FLOWD_OK}, {1, FLOWD_OK}, {2, FLOWD_OK}, {3, FLOWD_OK}}));
}

TEST_F(OutboxTest, EmitsAFullBatchByItself) {
    add(Outbox::batch + 3);
    EXPECT_EQ(fake_.events().size(), Outbox::batch);
    EXPECT_EQ(outbox_.waiting(), 3u);
    EXPECT_FALSE(outbox_.full());
}

TEST_F(OutboxTest, EmitsAddedEventsBeforeAPutEvent) {
    add(2);
    EXPECT_TRUE(outbox_.put(start(2)));
    EXPECT_EQ(emitted(), (std::vector<std::uint32_t>{0, 1, 2}));
}

TEST_F(OutboxTest, TakesBorrowedEvents) {
    const flowd_event event = start(7).raw();
    outbox_.add(event, 5);
    EXPECT_TRUE(outbox_.flush());
    EXPECT_EQ(emitted(), (std::vector<std::uint32_t>{7}));
    EXPECT_EQ(settled_, (Results{{5, FLOWD_OK}}));
}

TEST_F(OutboxTest, ReportsTheFlowIdOfEachTakenEvent) {
    fake_.accept(3, FLOWD_LIMIT);
    add(4);
    outbox_.flush();
    EXPECT_EQ(flows_, (std::vector<std::uint64_t>{1, 2, 3, 0})) << "none of an event that was refused";
}

TEST_F(OutboxTest, ContinuesAfterARefusedEvent) {
    for (const flowd_result reason : {FLOWD_LIMIT, FLOWD_INVALID}) {
        settled_.clear();
        fake_.accept(2, reason);
        add(4);
        EXPECT_TRUE(outbox_.flush());
        EXPECT_EQ(settled_, (Results{{0, FLOWD_OK}, {1, FLOWD_OK}, {2, reason}, {3, reason}}));
        EXPECT_FALSE(outbox_.full());
    }
    EXPECT_EQ(outbox_.refused(), 4u);
    EXPECT_EQ(outbox_.taken()[FLOWD_EVENT_START], 4u);
    EXPECT_FALSE(outbox_.put(start(9))) << "it tells at once";
}

TEST_F(OutboxTest, KeepsEventsInOrderWhileTheCoreHasNoRoom) {
    fake_.accept(1);
    add(4);
    EXPECT_FALSE(outbox_.flush());
    EXPECT_TRUE(outbox_.full());
    EXPECT_EQ(outbox_.reason(), FLOWD_FULL);
    EXPECT_TRUE(outbox_.put(start(4))) << "it waits behind the others";
    EXPECT_EQ(outbox_.waiting(), 4u);
    EXPECT_EQ(outbox_.waiting_starts(), 4u);
    EXPECT_EQ(settled_, (Results{{0, FLOWD_OK}}));

    fake_.accept_all();
    EXPECT_FALSE(outbox_.flush()) << "only on_room and the timer offer them again";
    EXPECT_TRUE(outbox_.drain());
    EXPECT_EQ(emitted(), (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
    EXPECT_EQ(outbox_.reason(), FLOWD_OK);
}

TEST_F(OutboxTest, ReportsWhenThereIsNoRoomAndWhenThereIsRoomAgain) {
    fake_.accept(0);
    add(3);
    outbox_.flush();
    EXPECT_EQ(room_, (std::vector<bool>{false}));
    fake_.accept(1);
    EXPECT_FALSE(outbox_.drain());
    EXPECT_EQ(room_, (std::vector<bool>{false})) << "there is still none for the others";
    EXPECT_EQ(outbox_.pauses(), 1u);
    fake_.accept_all();
    EXPECT_TRUE(outbox_.drain());
    EXPECT_EQ(room_, (std::vector<bool>{false, true}));
}

TEST_F(OutboxTest, MayBeFilledAgainAsSoonAsThereIsRoom) {
    std::uint32_t next = 0;
    Outbox outbox(*host_, [&](bool has_room) {
        while (has_room && next < 10 && !outbox.full()) outbox.put(start(next++));
    });
    fake_.accept(0);
    outbox.put(start(next++));
    fake_.accept(4);
    EXPECT_FALSE(outbox.drain()) << "it is full again";
    EXPECT_EQ(next, 5u);
    fake_.accept_all();
    EXPECT_TRUE(outbox.drain());
    EXPECT_EQ(emitted(), (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
    EXPECT_EQ(outbox.pauses(), 2u);
}

TEST_F(OutboxTest, AfterFullOnlyOnRoomRetries) {
    fake_.accept(1);
    add(4);
    outbox_.flush();
    fake_.advance(std::chrono::minutes(1));
    EXPECT_EQ(fake_.events().size(), 1u);
    EXPECT_TRUE(fake_.lines().empty());
}

TEST_F(OutboxTest, RetriesAfterAnErrorAndGivesUpAfterSomeTries) {
    fake_.accept(0, FLOWD_NO_MEMORY);
    add(2);
    outbox_.flush();
    EXPECT_EQ(outbox_.reason(), FLOWD_NO_MEMORY);
    for (int i = 1; i < Outbox::most_tries; ++i) fake_.advance(Outbox::last_pause);
    EXPECT_TRUE(outbox_.full());
    EXPECT_EQ(fake_.lines().size(), 1u) << "said once";
    EXPECT_TRUE(settled_.empty());
    fake_.advance(Outbox::last_pause);
    EXPECT_EQ(settled_, (Results{{0, FLOWD_NO_MEMORY}, {1, FLOWD_NO_MEMORY}}))
        << "the next one has one try: nobody waits for long";
    EXPECT_EQ(fake_.lines().size(), 2u);
    EXPECT_EQ(outbox_.refused(), 2u);
    EXPECT_EQ(room_, (std::vector<bool>{false, true}));

    fake_.accept_all();
    EXPECT_TRUE(outbox_.put(start(2)));
    fake_.accept(0, FLOWD_NO_MEMORY);
    EXPECT_TRUE(outbox_.put(start(3))) << "it has all its tries";
    EXPECT_TRUE(outbox_.full());
}

TEST_F(OutboxTest, RetriesAfterAnErrorByATimer) {
    fake_.accept(1, FLOWD_NO_MEMORY);
    add(3);
    outbox_.flush();
    fake_.accept_all();
    fake_.advance(Outbox::first_pause);
    EXPECT_EQ(emitted(), (std::vector<std::uint32_t>{0, 1, 2}));
    EXPECT_EQ(room_, (std::vector<bool>{false, true}));
    EXPECT_EQ(outbox_.refused(), 0u);
}

TEST_F(OutboxTest, WaitsForTheStopOfAStoppedInstance) {
    fake_.accept(0, FLOWD_STOPPED);
    add(1);
    EXPECT_FALSE(outbox_.flush());
    fake_.advance(std::chrono::minutes(1));
    EXPECT_EQ(outbox_.waiting(), 1u);
    EXPECT_EQ(outbox_.reason(), FLOWD_STOPPED);
}

TEST_F(OutboxTest, IsLimitedEvenIfThePluginDoesNotStopReading) {
    fake_.accept(0);
    for (std::size_t i = 0; i < Outbox::most_waiting; ++i) EXPECT_TRUE(outbox_.put(start(0)));
    EXPECT_FALSE(outbox_.put(start(1), 4711));
    EXPECT_EQ(outbox_.waiting(), Outbox::most_waiting);
    EXPECT_EQ(settled_, (Results{{4711, FLOWD_FULL}}));
    EXPECT_EQ(outbox_.refused(), 1u);
}

TEST_F(OutboxTest, OffersWaitingEventsUntilTheDeadlineOfAStop) {
    fake_.accept(0);
    add(2);
    outbox_.flush();
    fake_.accept_all();
    outbox_.stop(Deadline::in(std::chrono::seconds(10)));
    EXPECT_EQ(fake_.events().size(), 2u);
    EXPECT_EQ(fake_.lost(), 0u);
    EXPECT_EQ(room_, (std::vector<bool>{false})) << "nothing is read any more";
}

TEST_F(OutboxTest, CountsFlowsNotAnnouncedBeforeAStop) {
    fake_.accept(0);
    add(2);
    outbox_.put(Event::end(key(9), {1, 2}));
    outbox_.stop(Deadline::in(std::chrono::milliseconds(20)));
    EXPECT_EQ(fake_.lost(), 2u) << "the core ends the flows that it knows";
    EXPECT_TRUE(fake_.logged("2 flows were not announced before the stop"));
    EXPECT_EQ(outbox_.waiting(), 0u);
}

TEST_F(OutboxTest, ClearDiscardsWaitingEvents) {
    fake_.accept(0, FLOWD_NO_MEMORY);
    add(3);
    outbox_.flush();
    EXPECT_EQ(outbox_.clear(), 3u);
    EXPECT_FALSE(outbox_.full());
    fake_.accept_all();
    fake_.advance(std::chrono::minutes(1));
    EXPECT_TRUE(fake_.events().empty());
}

}  // namespace
}  // namespace flowd
