// SPDX-License-Identifier: Apache-2.0
// What the meter's BPF programs count, on frames built byte by byte (BPF_PROG_TEST_RUN). Needs root.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <thread>

#include "lib/bpf/flow_key.hpp"
#include "lib/bpf/sized.hpp"
#include "plugins/perfsonar/flow_keeper.hpp"
#include "plugins/perfsonar/flow_slots.hpp"
#include "plugins/perfsonar/meter_program.hpp"
#include "tests/unit/bpf/packet.hpp"

extern "C" int meter_race_slots(int* same_number);  // meter_race.c

namespace flowd::perfsonar {
namespace {

using test::Bytes;
using test::operator+;

constexpr unsigned fin = 1;
constexpr unsigned syn = 2;
constexpr unsigned rst = 4;
constexpr unsigned ack = 16;

Bytes segment(unsigned source, unsigned destination, unsigned flags, std::size_t data = 0, std::uint32_t sequence = 1) {
    Bytes out;
    test::put16(out, source);
    test::put16(out, destination);
    test::put32(out, sequence);
    test::put32(out, 2);
    test::put8(out, 8 << 4);  // a header of 32 bytes, with options
    test::put8(out, flags);
    test::put16(out, 1024);
    test::put32(out, 0);
    out.resize(32 + data, 'x');
    return out;
}

Bytes out6(const Bytes& transport, unsigned next = 6) {
    return test::ethernet(0x86dd) + test::Ip6{.next = next}.over(transport);
}
Bytes in6(const Bytes& transport, unsigned next = 6) {
    return test::ethernet(0x86dd) +
           test::Ip6{.source = "2001:db8::2", .destination = "2001:db8::1", .next = next}.over(transport);
}

class MeterTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs";
        load(1024);
    }
    void load(std::uint32_t max_flows) {
        auto loaded = MeterProgram::load(max_flows, {});
        ASSERT_TRUE(loaded.ok()) << loaded.error().message << " " << loaded.error().hint;
        program_.emplace(*std::move(loaded));
        program_->state().min_packets = 1;
        slots_.emplace(*program_);
        auto ring = program_->events([this](std::span<const std::byte> record) {
            std::memcpy(&events_.emplace_back(), record.data(), sizeof(meter_event));
        });
        ASSERT_TRUE(ring.ok());
        ring_.emplace(*std::move(ring));
    }

    void pass(const Bytes& frame, std::uint32_t direction) {
        auto options = bpf::sized<bpf_test_run_opts>();
        options.data_in = frame.data();
        options.data_size_in = static_cast<std::uint32_t>(frame.size());
        options.repeat = 1;
        EXPECT_EQ(bpf_prog_test_run_opts(program_->hooks()[direction].ethernet, &options), 0);
        EXPECT_EQ(static_cast<int>(options.retval), -1) << "TC_ACT_UNSPEC: others decide";
    }
    meter_outcome run(const Bytes& frame, std::uint32_t direction) {
        const auto before = program_->counts();
        pass(frame, direction);
        const auto after = program_->counts();
        meter_outcome outcome = METER_OUTCOMES;
        std::uint64_t counted = 0;
        for (std::uint32_t i = 0; i < METER_OUTCOMES; ++i) {
            const std::uint64_t more = (*after)[i][direction].packets - (*before)[i][direction].packets;
            if (more == 0) continue;
            outcome = static_cast<meter_outcome>(i);
            counted += more;
            frame_bytes_ = (*after)[i][direction].bytes - (*before)[i][direction].bytes;
        }
        EXPECT_EQ(counted, 1u) << "each packet is counted once";
        return outcome;
    }
    meter_outcome sent(const Bytes& frame) { return run(frame, METER_OUT); }
    meter_outcome received(const Bytes& frame) { return run(frame, METER_IN); }

    /// All flows that a packet can find.
    std::vector<meter_flow> flows() {
        std::vector<meter_flow> found;
        slots_->for_each([&](std::uint32_t slot) {
            const auto word = program_->buckets()[slot / METER_BUCKET_SLOTS].slots[slot % METER_BUCKET_SLOTS];
            if ((word & METER_TAG_GONE) == METER_TAG_READY) found.push_back(*slots_->read(slot));
        });
        return found;
    }
    meter_flow only() {
        const auto found = flows();
        EXPECT_EQ(found.size(), 1u);
        return found.empty() ? meter_flow{} : found.front();
    }
    /// What was told since the last call, as one word.
    std::uint32_t told() {
        ring_->drain();
        std::uint32_t what = 0;
        for (const meter_event& event : events_) what |= event.what;
        events_.clear();
        return what;
    }

    std::optional<MeterProgram> program_;
    std::optional<KernelSlots> slots_;
    std::optional<bpf::Ring> ring_;
    std::vector<meter_event> events_;
    std::uint64_t frame_bytes_ = 0;
};

TEST_F(MeterTest, AConnectionIsOneFlowFromItsSynToFinOfBothSides) {
    EXPECT_EQ(sent(out6(segment(40000, 5201, syn))), METER_METERED);
    EXPECT_EQ(told(), METER_EVENT_ENTERED | METER_EVENT_WORTHY);
    EXPECT_EQ(received(in6(segment(5201, 40000, syn | ack))), METER_METERED);
    EXPECT_EQ(sent(out6(segment(40000, 5201, ack, 1000))), METER_METERED);
    EXPECT_EQ(received(in6(segment(5201, 40000, ack, 10))), METER_METERED);
    EXPECT_EQ(sent(out6(segment(40000, 5201, fin | ack))), METER_METERED);
    EXPECT_EQ(told(), 0u) << "one side has closed";
    EXPECT_EQ(received(in6(segment(5201, 40000, fin | ack))), METER_METERED);
    EXPECT_EQ(told(), METER_EVENT_ENDED);
    EXPECT_EQ(sent(out6(segment(40000, 5201, ack))), METER_METERED) << "the last word still belongs to it";
    EXPECT_EQ(told(), 0u);

    const meter_flow flow = only();
    EXPECT_EQ(flow.bytes[METER_OUT], 1000u);
    EXPECT_EQ(flow.bytes[METER_IN], 10u);
    EXPECT_EQ(flow.packets[METER_OUT], 4u);
    EXPECT_EQ(flow.packets[METER_IN], 3u);
    EXPECT_TRUE(flow.flags & METER_OPENED_OUT);
    EXPECT_LE(flow.start_ns, flow.end_ns);
    const flowd_key key = key_of(flow);
    EXPECT_EQ(source_of(key).to_string(), "[2001:db8::1]:40000") << "the end whose packets leave";
}

TEST_F(MeterTest, AnIncomingConnectionCountsOnceThisHostAnswers) {
    EXPECT_EQ(received(in6(segment(5201, 40000, syn))), METER_METERED);
    EXPECT_EQ(told(), METER_EVENT_ENTERED);
    EXPECT_EQ(sent(out6(segment(40000, 5201, syn | ack))), METER_METERED);
    EXPECT_EQ(told(), METER_EVENT_WORTHY);
    EXPECT_FALSE(only().flags & METER_OPENED_OUT);
    EXPECT_EQ(source_of(key_of(only())).port, 40000);
}

TEST_F(MeterTest, ARefusedIncomingConnectionDoesNotCount) {
    received(in6(segment(5201, 40000, syn)));
    sent(out6(segment(40000, 5201, rst | ack)));
    EXPECT_EQ(told(), METER_EVENT_ENTERED | METER_EVENT_ENDED);
    EXPECT_FALSE(only().flags & METER_WORTHY);
}

TEST_F(MeterTest, AResetEndsAFlowAndLatePacketsDoNotOpenOne) {
    sent(out6(segment(40000, 5201, syn)));
    received(in6(segment(5201, 40000, rst | ack)));
    EXPECT_TRUE(told() & METER_EVENT_ENDED);
    EXPECT_TRUE(only().flags & METER_RESET);
    // Once its slot is gone as well:
    slots_->for_each([&](std::uint32_t slot) { slots_->hide(slot); });
    EXPECT_EQ(received(in6(segment(5201, 40000, ack))), METER_UNOPENED);
    EXPECT_EQ(sent(out6(segment(40000, 5201, rst))), METER_UNOPENED);
    EXPECT_EQ(sent(out6(segment(40000, 5201, fin | ack, 5))), METER_UNOPENED);
    EXPECT_EQ(sent(out6(segment(40000, 5201, ack, 5))), METER_METERED) << "one that was there before the meter";
}

TEST_F(MeterTest, ASynOnTheSameTupleOpensANewFlowUnlessRetransmitted) {
    sent(out6(segment(40000, 5201, syn, 0, 77)));
    sent(out6(segment(40000, 5201, syn, 0, 77)));
    EXPECT_EQ(only().packets[METER_OUT], 2u);
    sent(out6(segment(40000, 5201, ack, 100)));
    sent(out6(segment(40000, 5201, syn, 0, 77)));
    EXPECT_EQ(only().packets[METER_OUT], 4u) << "a late copy of the first";
    told();
    sent(out6(segment(40000, 5201, syn, 0, 99)));
    EXPECT_EQ(told(), METER_EVENT_ENDED | METER_EVENT_ENTERED | METER_EVENT_WORTHY);
    EXPECT_EQ(only().packets[METER_OUT], 1u);
    EXPECT_EQ(only().bytes[METER_OUT], 0u);
}

TEST_F(MeterTest, PaddingCountsForTheFrameNotForThePayload) {
    Bytes frame = out6(test::udp(5001, 5002, 2), 17);  // 14 + 40 + 8 + 2
    frame.resize(80, 0);
    EXPECT_EQ(sent(frame), METER_METERED);
    EXPECT_EQ(only().bytes[METER_OUT], 2u);
    EXPECT_EQ(frame_bytes_, 80u);
}

TEST_F(MeterTest, ExtensionHeadersAreNotPayload) {
    const Bytes frame =
        test::ethernet(0x86dd) + test::Ip6{.next = 60}.over(test::extension(17, 0, test::udp(5001, 5002, 9)));
    EXPECT_EQ(sent(frame), METER_METERED);
    EXPECT_EQ(only().bytes[METER_OUT], 9u);
}

TEST_F(MeterTest, AForwardedPacketIsCountedByTheHookThatSawItsFlowFirst) {
    const Bytes there = out6(test::udp(5001, 5002, 100), 17);
    const Bytes back = in6(test::udp(5002, 5001, 7), 17);
    EXPECT_EQ(received(there), METER_METERED);
    EXPECT_EQ(sent(there), METER_ELSEWHERE) << "the same packet on its way out";
    EXPECT_EQ(received(back), METER_ELSEWHERE);
    EXPECT_EQ(sent(back), METER_METERED);
    EXPECT_EQ(only().bytes[METER_IN], 100u);
    EXPECT_EQ(only().bytes[METER_OUT], 7u);
}

TEST_F(MeterTest, NoiseAndPacketsWithoutPortsAreCountedByName) {
    const auto udp6 = [](const char* source, const char* destination, unsigned port = 5002) {
        return test::ethernet(0x86dd) +
               test::Ip6{.source = source, .destination = destination, .next = 17}.over(test::udp(5001, port));
    };
    EXPECT_EQ(sent(udp6("2001:db8::1", "ff02::fb")), METER_NOISE);
    EXPECT_EQ(sent(udp6("fe80::1", "2001:db8::2")), METER_NOISE);
    EXPECT_EQ(sent(udp6("::", "2001:db8::2")), METER_NOISE);
    EXPECT_EQ(sent(udp6("::1", "::1")), METER_NOISE);
    EXPECT_EQ(sent(udp6("::ffff:169.254.1.1", "::ffff:192.0.2.1")), METER_NOISE);
    EXPECT_EQ(sent(udp6("2001:db8::1", "2001:db8::2", 0)), METER_NOISE);
    EXPECT_EQ(sent(out6(Bytes{128, 0, 0, 0, 0, 9, 0, 1}, 58)), METER_ICMP);
    EXPECT_EQ(sent(out6(Bytes(20, 1), 132)), METER_OTHER_PROTOCOL);
    EXPECT_EQ(sent(out6(test::fragment(17, 100, true, Bytes(64, 2)), 44)), METER_FRAGMENT);
    EXPECT_EQ(sent(test::ethernet(0x0806) + Bytes(46, 0)), METER_NOT_IP);
    EXPECT_TRUE(flows().empty());
}

TEST_F(MeterTest, AFlowCountsOnceItReachesTheMinimum) {
    program_->state().min_bytes = 150;
    program_->state().min_packets = 3;
    const Bytes frame = out6(test::udp(5001, 5002, 100), 17);
    sent(frame);
    sent(frame);
    EXPECT_EQ(told(), METER_EVENT_ENTERED) << "large enough, but two packets only";
    sent(frame);
    EXPECT_EQ(told(), METER_EVENT_WORTHY);
    sent(frame);
    EXPECT_EQ(told(), 0u);
}

TEST_F(MeterTest, PacketsOfFlowsWithoutRoomAreCountedAndIncomingFlowsLeaveRoom) {
    load(16);
    unsigned port = 1;
    for (; port <= 12; ++port) EXPECT_EQ(received(in6(test::udp(port, 5002), 17)), METER_METERED);
    EXPECT_EQ(received(in6(test::udp(port++, 5002), 17)), METER_NO_ROOM);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(sent(out6(test::udp(port++, 5002), 17)), METER_METERED);
    EXPECT_EQ(sent(out6(test::udp(port++, 5002), 17)), METER_NO_ROOM);
    // A slot that is given back is used again, from zero.
    std::uint32_t slot = 0;
    slots_->for_each([&](std::uint32_t one) { slot = one; });
    slots_->hide(slot);
    slots_->clear(slot);
    EXPECT_EQ(program_->state().flows, 15u);
    EXPECT_EQ(slots_->read(slot)->start_ns, 0u) << "a free slot has no flow, certainly not that of number 0";
    EXPECT_EQ(sent(out6(test::udp(port, 5002), 17)), METER_METERED);
    for (const meter_flow& flow : flows()) EXPECT_EQ(flow.packets[METER_OUT] + flow.packets[METER_IN], 1u);
}

TEST_F(MeterTest, AFullTableHoldsTheConfiguredNumberOfFlows) {
    load(4096);
    for (unsigned i = 0; i < 4096; ++i) {
        const std::string source = "2001:db8::" + std::to_string(1 + i / 512);
        pass(test::ethernet(0x86dd) + test::Ip6{.source = source, .next = 17}.over(test::udp(1024 + i % 512, 5201)),
             METER_OUT);
    }
    EXPECT_EQ((*program_->counts())[METER_NO_ROOM][METER_OUT].packets, 0u);
    EXPECT_EQ(flows().size(), 4096u);
    ring_->drain();
    EXPECT_EQ(program_->state().lost_events, 0u);
}

TEST_F(MeterTest, CpusThatAddTheSameFlowsAddEachOnceAndLeakNoIndex) {
    load(4096);
    constexpr unsigned count = 2000;
    const auto pass_all = [&] {
        for (unsigned i = 0; i < count; ++i) pass(out6(test::udp(1024 + i, 5201), 17), METER_OUT);
    };
    for (int round = 0; round < 3; ++round) {
        std::thread other(pass_all);
        pass_all();
        other.join();
        const auto found = flows();
        ASSERT_EQ(found.size(), count);
        for (const meter_flow& flow : found) EXPECT_EQ(flow.packets[METER_OUT], 2u);
        EXPECT_EQ((*program_->counts())[METER_NO_ROOM][METER_OUT].packets, 0u);
        EXPECT_EQ(program_->state().flows, count);
        EXPECT_LE(program_->state().numbers, count + 1) << "what comes back is given out first";
        slots_->for_each([&](std::uint32_t slot) {
            slots_->hide(slot);
            slots_->clear(slot);
        });
        EXPECT_EQ(program_->state().flows, 0u);
    }
}

TEST_F(MeterTest, EventsWithoutRoomAreCounted) {
    load(65536);
    for (unsigned i = 0; i < 9000; ++i) pass(out6(test::udp(1024 + i, 5201), 17), METER_OUT);
    EXPECT_GT(program_->state().lost_events, 0u);
    EXPECT_EQ(flows().size(), 9000u) << "the flows themselves are all there";
}

TEST(MeterTable, AFlowAddedByTwoCpusDuringARemovalHasOneRecord) {
    int same_number = 0;
    EXPECT_EQ(meter_race_slots(&same_number), 1);
    EXPECT_TRUE(same_number) << "both count in one record";
}

}  // namespace
}  // namespace flowd::perfsonar
