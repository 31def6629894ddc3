// SPDX-License-Identifier: Apache-2.0
#include "flowd/emit.hpp"

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

}  // namespace
}  // namespace flowd
