// SPDX-License-Identifier: Apache-2.0
#include "flowd/emit.hpp"
#include "flowd/emit_retry.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "flowd/testing/fake_host.hpp"

namespace flowd {
namespace {

class EmitEach : public ::testing::Test {
  protected:
    using Settled = std::vector<std::pair<std::size_t, flowd_result>>;

    EmitEach() {
        for (std::uint32_t i = 0; i < 4; ++i) {
            const Endpoint source{*Address::parse("2001:db8::1"), static_cast<std::uint16_t>(1000 + i)};
            const Endpoint destination{*Address::parse("2001:db8::2"), 1094};
            events_.push_back(Event::start(make_key(source, destination, 6), {1, 2}).raw());
        }
    }
    Emitted emit() {
        return emit_each(*host_, events_,
                         [this](std::size_t index, flowd_result result) { settled_.emplace_back(index, result); });
    }

    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = Host::make(fake_.raw()).value();
    std::vector<flowd_event> events_;
    Settled settled_;
};

TEST_F(EmitEach, SettlesEveryEventInOrder) {
    const Emitted emitted = emit();
    EXPECT_TRUE(emitted.ok());
    EXPECT_EQ(emitted.accepted, 4u);
    EXPECT_EQ(settled_, (Settled{{0, FLOWD_OK}, {1, FLOWD_OK}, {2, FLOWD_OK}, {3, FLOWD_OK}}));
    EXPECT_EQ(fake_.events().size(), 4u);
}

TEST_F(EmitEach, TellsTheFlowOfEachEventToWhoeverWantsIt) {
    fake_.accept(3, FLOWD_LIMIT);
    std::vector<std::uint64_t> flows;
    (void)emit_each(*host_, events_, [&](std::size_t, flowd_result, std::uint64_t flow_id) { flows.push_back(flow_id); });
    EXPECT_EQ(flows, (std::vector<std::uint64_t>{1, 2, 3, 0})) << "none of an event that was refused";
}

TEST_F(EmitEach, GoesOnBehindWhatIsRefused) {
    fake_.accept(2, FLOWD_LIMIT);
    const Emitted emitted = emit();
    EXPECT_TRUE(emitted.ok());
    EXPECT_EQ(emitted.accepted, 4u) << "settled, though not taken";
    EXPECT_EQ(settled_, (Settled{{0, FLOWD_OK}, {1, FLOWD_OK}, {2, FLOWD_LIMIT}, {3, FLOWD_LIMIT}}));
}

TEST_F(EmitEach, StopsWhereThereIsNoRoom) {
    for (const flowd_result reason : {FLOWD_FULL, FLOWD_STOPPED, FLOWD_ERROR}) {
        settled_.clear();
        fake_.accept(1, reason);
        const Emitted emitted = emit();
        EXPECT_EQ(emitted.result, reason);
        EXPECT_EQ(emitted.accepted, 1u);
        EXPECT_EQ(settled_, (Settled{{0, FLOWD_OK}})) << "the rest can be offered again";
    }
}

TEST_F(EmitEach, OfNothingIsDone) {
    events_.clear();
    fake_.accept(0);
    EXPECT_TRUE(emit().ok());
    EXPECT_TRUE(settled_.empty());
}

class EmitRetryTest : public EmitEach {
  protected:
    EmitRetry::Next offer() {
        Emitted emitted = emit();
        events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(emitted.accepted));
        return retry_.after(emitted);
    }
    EmitRetry retry_{*host_, [this] { ++again_; }};
    int again_ = 0;
};

TEST_F(EmitRetryTest, LeavesFullQueuesToOnRoom) {
    fake_.accept(1);
    EXPECT_EQ(offer(), EmitRetry::Next::wait);
    fake_.advance(std::chrono::minutes(1));
    EXPECT_EQ(again_, 0);
    EXPECT_TRUE(fake_.lines().empty());
    fake_.accept_all();
    EXPECT_EQ(offer(), EmitRetry::Next::go_on);
}

TEST_F(EmitRetryTest, ComesBackAfterAnErrorAndGivesUpAfterSomeTries) {
    fake_.accept(0, FLOWD_NO_MEMORY);
    for (int i = 0; i < EmitRetry::limit; ++i) {
        EXPECT_EQ(offer(), EmitRetry::Next::wait);
        fake_.advance(EmitRetry::last_pause);
        EXPECT_EQ(again_, i + 1);
    }
    EXPECT_EQ(fake_.lines().size(), 1u) << "said once";
    EXPECT_EQ(offer(), EmitRetry::Next::give_up);
    EXPECT_EQ(offer(), EmitRetry::Next::give_up) << "the next one has one try: nobody waits for long";
    EXPECT_EQ(fake_.lines().size(), 2u);
    EXPECT_EQ(retry_.given_up(), 2u);
    fake_.accept_all();
    EXPECT_EQ(offer(), EmitRetry::Next::go_on);
    fake_.accept(0, FLOWD_NO_MEMORY);
    events_.push_back(Event::start(make_key({*Address::parse("::1"), 1}, {*Address::parse("::1"), 2}, 6), {1, 2}).raw());
    EXPECT_EQ(offer(), EmitRetry::Next::wait) << "and begins anew";
}

TEST_F(EmitRetryTest, WaitsForTheStopOfAStoppedInstance) {
    fake_.accept(0, FLOWD_STOPPED);
    EXPECT_EQ(offer(), EmitRetry::Next::wait);
    fake_.advance(std::chrono::minutes(1));
    EXPECT_EQ(again_, 0);
}

}  // namespace
}  // namespace flowd
