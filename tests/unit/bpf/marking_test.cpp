// SPDX-License-Identifier: Apache-2.0
// What the BPF program does to a packet, byte by byte.
#include <chrono>
#include <random>
#include <set>

#include "flowd/label.hpp"
#include "tests/unit/bpf/kernel.hpp"

namespace flowd::test {
namespace {

constexpr int next_program = -1;  // TC_ACT_UNSPEC, TCX_NEXT
constexpr unsigned type_ipv6 = 0x86dd;
constexpr flowd_tag atlas{2, 16};
constexpr flowd_tag perfsonar{3, 2};

std::uint32_t semantic(flowd_tag tag) {
    return *label::encode(tag);
}

class Marking : public KernelTest {
  protected:
    void expect_marked(const Bytes& frame, std::size_t offset, flowd_tag tag, marker_outcome outcome) {
        const Ran ran = run(frame);
        EXPECT_EQ(ran.verdict, next_program);
        EXPECT_EQ(ran.outcome, outcome) << marker::outcome_name(ran.outcome);
        EXPECT_EQ(label_at(ran.frame, offset) & label::semantic_mask, semantic(tag));
        EXPECT_EQ(ran.frame, with_label(frame, offset, label_at(ran.frame, offset))) << "only the label may change";
    }
    void expect_untouched(const Bytes& frame, marker_outcome outcome) {
        const Ran ran = run(frame);
        EXPECT_EQ(ran.verdict, next_program);
        EXPECT_EQ(ran.outcome, outcome) << marker::outcome_name(ran.outcome);
        EXPECT_EQ(ran.frame, frame);
    }
};

TEST_F(Marking, AFlowIsMarkedInBothDirectionsAndWithOneLabel) {
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    const Bytes out = ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094));
    const Bytes back =
        ethernet(type_ipv6) + Ip6{.source = "2001:db8::2", .destination = "2001:db8::1"}.over(tcp(1094, 40000));
    expect_marked(out, 14, atlas, MARKER_MARKED_FLOW);
    expect_marked(back, 14, atlas, MARKER_MARKED_FLOW);
    EXPECT_EQ(label_at(run(out).frame, 14), label_at(run(back).frame, 14));
}

TEST_F(Marking, AFlowIsItsWhole5Tuple) {
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    expect_untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(40001, 1094)), MARKER_NO_TAG);
    expect_untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1095)), MARKER_NO_TAG);
    expect_untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(1094, 40000)), MARKER_NO_TAG);
    expect_untouched(ethernet(type_ipv6) + Ip6{.next = 17}.over(udp(40000, 1094)), MARKER_NO_TAG);
    expect_untouched(ethernet(type_ipv6) + Ip6{.source = "2001:db8::3"}.over(tcp(40000, 1094)), MARKER_NO_TAG);
    expect_untouched(ethernet(type_ipv6) + Ip6{.destination = "2001:db8::3"}.over(tcp(40000, 1094)), MARKER_NO_TAG);
}

TEST_F(Marking, WithoutADaemonTheCatchAllExpiresAndMarksOfFlowsRemain) {
    table_.emplace(*program_, marker::Marks(with_room(1024)), 1024, std::chrono::hours(1));
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    set_catch_all(perfsonar);
    const Bytes flow = ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094));
    const Bytes other = ethernet(type_ipv6) + Ip6{}.over(tcp(40001, 1094));
    expect_marked(other, 14, perfsonar, MARKER_MARKED_CATCH_ALL);

    auto settings = *program_->settings().lookup(0);
    ASSERT_NE(settings.catch_all_until, 0u);
    settings.catch_all_until = 1;
    ASSERT_TRUE(program_->settings().update(0, settings).ok());
    expect_untouched(other, MARKER_NO_TAG);
    expect_marked(flow, 14, atlas, MARKER_MARKED_FLOW);

    table_->renew_catch_all();
    expect_marked(other, 14, perfsonar, MARKER_MARKED_CATCH_ALL);
}

TEST_F(Marking, AnEndedFlowIsNoLongerMarked) {
    const Bytes frame = ethernet(type_ipv6) + Ip6{.next = 17}.over(udp(5001, 5002));
    ASSERT_TRUE(table_->put(key(5001, 5002, 17), atlas));
    expect_marked(frame, 14, atlas, MARKER_MARKED_FLOW);
    table_->remove(key(5002, 5001, 17, "2001:db8::2", "2001:db8::1"));  // announced the other way round
    expect_untouched(frame, MARKER_NO_TAG);
    EXPECT_EQ(table_->size(), 0u);
}

TEST_F(Marking, AConnectionThatIsClosedKeepsTheLabelOfItsFinOrRst) {
    constexpr unsigned fin = 0x11;
    constexpr unsigned rst = 0x14;
    set_catch_all(perfsonar);
    const Bytes other = ethernet(type_ipv6) + Ip6{}.over(tcp(40001, 1094));
    for (const unsigned flags : {fin, rst}) {
        const flowd_tag tag{2, flags};
        const Bytes closes = ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094, 0, flags));
        const Bytes last = ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094, 0));
        ASSERT_TRUE(table_->put(key(40000, 1094), tag));
        expect_marked(closes, 14, tag, MARKER_MARKED_FLOW);
        table_->remove(key(40000, 1094));
        expect_marked(last, 14, tag, MARKER_MARKED_FLOW);
        EXPECT_EQ(label_at(run(last).frame, 14), label_at(run(closes).frame, 14)) << "with its entropy";
        expect_marked(other, 14, perfsonar, MARKER_MARKED_CATCH_ALL);
    }
    EXPECT_EQ(table_->size(), 0u) << "it is no flow any more";
    clear_catch_all();
    expect_untouched(other, MARKER_NO_TAG);
}

TEST_F(Marking, AClosedConnectionWithoutAValidTagIsNotMarkedByTheCatchAllAtItsEndEither) {
    set_catch_all(perfsonar);
    ASSERT_TRUE(table_->put(key(40000, 1094), {0, 0}));
    expect_untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094, 0, 0x11)), MARKER_UNMARKABLE_TAG);
    table_->remove(key(40000, 1094));
    expect_untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094, 0)), MARKER_UNMARKABLE_TAG);
}

TEST_F(Marking, AFlowThatEndsBeforeItsConnectionLeavesNoMark) {
    set_catch_all(perfsonar);
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    expect_marked(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094)), 14, atlas, MARKER_MARKED_FLOW);
    table_->remove(key(40000, 1094));
    expect_marked(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094)), 14, perfsonar, MARKER_MARKED_CATCH_ALL);
}

TEST_F(Marking, EcnAndTrafficClassSurviveForEveryValue) {
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    for (unsigned traffic_class = 0; traffic_class < 256; ++traffic_class)
        expect_marked(ethernet(type_ipv6) + Ip6{.traffic_class = traffic_class, .label = 0xfffff}.over(tcp(40000, 1094)),
                      14, atlas, MARKER_MARKED_FLOW);
}

TEST_F(Marking, CatchAllMarksPacketsWithoutAFlowAndAFlowTakesPrecedence) {
    set_catch_all(perfsonar);
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    expect_marked(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094)), 14, atlas, MARKER_MARKED_FLOW);
    expect_marked(ethernet(type_ipv6) + Ip6{}.over(tcp(40001, 1094)), 14, perfsonar, MARKER_MARKED_CATCH_ALL);
    clear_catch_all();
    expect_untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(40001, 1094)), MARKER_NO_TAG);
}

TEST_F(Marking, EntropyIsTheSameFromCatchAllAndFlow) {
    std::set<std::uint32_t> seen;
    for (std::uint16_t port = 1024; port < 1024 + 200; ++port) {
        set_catch_all(atlas);
        const Bytes frame = ethernet(type_ipv6) + Ip6{}.over(tcp(port, 1094));
        const std::uint32_t before = label_at(run(frame).frame, 14);
        ASSERT_TRUE(table_->put(key(port, 1094), atlas));
        EXPECT_EQ(label_at(run(frame).frame, 14), before) << "announcing a flow must not move it to another path";
        table_->remove(key(port, 1094));
        seen.insert(before & label::entropy_mask);
    }
    EXPECT_EQ(seen.size(), 32u) << "five bits of entropy, all in use";
}

TEST_F(Marking, ATagThatCannotBeALabelIsNotMarkedByTheCatchAllEither) {
    set_catch_all(perfsonar);
    for (const flowd_tag tag : {flowd_tag{0, 0}, flowd_tag{512, 1}, flowd_tag{1, 64}}) {
        ASSERT_TRUE(table_->put(key(40000, 1094), tag));
        expect_untouched(ethernet(type_ipv6) + Ip6{.label = 0x12345}.over(tcp(40000, 1094)), MARKER_UNMARKABLE_TAG);
    }
    EXPECT_EQ(table_->skipped().no_valid_tag, 1u);
    EXPECT_EQ(table_->skipped().tag_out_of_range, 2u);
    EXPECT_FALSE(table_->set_catch_all({512, 1}));
    EXPECT_FALSE(table_->has_catch_all());
}

TEST_F(Marking, ANewTagReplacesTheOld) {
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    ASSERT_TRUE(table_->put(key(40000, 1094), {3, 9}));
    expect_marked(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094)), 14, {3, 9}, MARKER_MARKED_FLOW);
    EXPECT_EQ(table_->size(), 1u);
}

TEST_F(Marking, UpToTwoVlanTagsInTheFrameShift) {
    set_catch_all(perfsonar);
    expect_marked(ethernet(0x8100) + vlan(42, type_ipv6) + Ip6{.traffic_class = 3}.over(tcp(1, 2)), 18, perfsonar,
                  MARKER_MARKED_CATCH_ALL);
    expect_marked(ethernet(0x88a8) + vlan(42, type_ipv6) + Ip6{}.over(tcp(1, 2)), 18, perfsonar, MARKER_MARKED_CATCH_ALL);
    expect_marked(ethernet(0x88a8) + vlan(1, 0x8100) + vlan(2, type_ipv6) + Ip6{}.over(tcp(1, 2)), 22, perfsonar,
                  MARKER_MARKED_CATCH_ALL);
    expect_untouched(ethernet(0x88a8) + vlan(1, 0x8100) + vlan(2, 0x8100) + vlan(3, type_ipv6) + Ip6{}.over(tcp(1, 2)),
                     MARKER_DEEP_VLAN);
    expect_untouched(ethernet(0x8100) + vlan(1, 0x0800) + Bytes(60, 0x45), MARKER_IPV4);
    expect_untouched(ethernet(0x8100) + vlan(1, 0x0806) + Bytes(60, 0), MARKER_NOT_IP);
}

TEST_F(Marking, OtherPacketsThanIpv6AreNotChanged) {
    set_catch_all(perfsonar);
    expect_untouched(ethernet(0x0800) + Bytes(60, 0x45), MARKER_IPV4);
    expect_untouched(ethernet(0x0806) + Bytes(60, 0), MARKER_NOT_IP);
    expect_untouched(ethernet(0x88cc) + Bytes(60, 0x60), MARKER_NOT_IP);
    expect_untouched(ethernet(type_ipv6) + Bytes(60, 0x45), MARKER_NOT_IP);  // the type lies
}

TEST_F(Marking, EveryProtocolIsMarked) {
    set_catch_all(perfsonar);
    for (const unsigned protocol : {6u, 17u, 33u, 41u, 47u, 50u, 58u, 59u, 89u, 132u, 136u, 253u})
        expect_marked(ethernet(type_ipv6) + Ip6{.next = protocol}.over(Bytes(40, 7)), 14, perfsonar,
                      MARKER_MARKED_CATCH_ALL);
    expect_marked(ethernet(type_ipv6) + Ip6{.next = 59}.over({}), 14, perfsonar, MARKER_MARKED_CATCH_ALL);
}

TEST_F(Marking, FlowsOfOtherProtocolsAreMatched) {
    ASSERT_TRUE(table_->put(key(9000, 9001, 132), atlas));
    expect_marked(ethernet(type_ipv6) + Ip6{.next = 132}.over(udp(9000, 9001)), 14, atlas, MARKER_MARKED_FLOW);
    expect_untouched(ethernet(type_ipv6) + Ip6{.next = 132}.over(udp(9000, 9002)), MARKER_NO_TAG);
    // An echo's identifier stands for both ports, so that the reply is the same tuple reversed.
    ASSERT_TRUE(table_->put(key(0x1234, 0x1234, 58), atlas));
    for (const std::uint8_t type : {128, 129})
        expect_marked(ethernet(type_ipv6) + Ip6{.next = 58}.over(Bytes{type, 0, 0, 0, 0x12, 0x34, 0, 1}), 14, atlas,
                      MARKER_MARKED_FLOW);
    expect_untouched(ethernet(type_ipv6) + Ip6{.next = 58}.over(Bytes{135, 0, 0, 0, 0x12, 0x34, 0, 1}), MARKER_NO_TAG);
    ASSERT_TRUE(table_->put(key(0, 0, 50), atlas));
    expect_marked(ethernet(type_ipv6) + Ip6{.next = 50}.over(Bytes(40, 3)), 14, atlas, MARKER_MARKED_FLOW);
}

TEST_F(Marking, ExtensionHeadersAreParsedWithoutThePayloadLength) {
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    const Bytes segment = tcp(40000, 1094);
    for (const unsigned header : {0u, 43u, 60u}) {
        SCOPED_TRACE(header);
        expect_marked(ethernet(type_ipv6) + Ip6{.next = header}.over(extension(6, 0, segment)), 14, atlas,
                      MARKER_MARKED_FLOW);
        expect_marked(ethernet(type_ipv6) + Ip6{.next = header}.over(extension(6, 3, segment)), 14, atlas,
                      MARKER_MARKED_FLOW);
    }
    // As BIG TCP sends: a jumbo option (RFC 2675) and a length of 0.
    expect_marked(ethernet(type_ipv6) + Ip6{.next = 0, .payload_length = 0}.over(extension(6, 0, segment)), 14, atlas,
                  MARKER_MARKED_FLOW);
    // RFC 4302: the length of an authentication header counts words of four, minus two.
    Bytes authentication(24, 0);
    authentication[0] = 6;
    authentication[1] = 4;
    expect_marked(ethernet(type_ipv6) + Ip6{.next = 51}.over(authentication + segment), 14, atlas, MARKER_MARKED_FLOW);
}

TEST_F(Marking, TheNumberOfExtensionHeadersIsLimited) {
    set_catch_all(perfsonar);
    Bytes chain = extension(6, 0, tcp(1, 2));
    for (int i = 0; i < 7; ++i) chain = extension(60, 0, chain);
    expect_marked(ethernet(type_ipv6) + Ip6{.next = 60}.over(chain), 14, perfsonar, MARKER_MARKED_CATCH_ALL);
    chain = extension(60, 0, chain);
    expect_untouched(ethernet(type_ipv6) + Ip6{.next = 60}.over(chain), MARKER_DEEP_HEADERS);
}

TEST_F(Marking, FragmentsOfOneDatagramCarryOneLabel) {
    const Bytes whole = udp(5001, 5002, 200);
    const auto first = [&](std::uint32_t id) {
        return ethernet(type_ipv6) +
               Ip6{.next = 44}.over(fragment(17, 0, true, Bytes(whole.begin(), whole.begin() + 104), id));
    };
    const auto last = [&](std::uint32_t id) {
        return ethernet(type_ipv6) +
               Ip6{.next = 44}.over(fragment(17, 13, false, Bytes(whole.begin() + 104, whole.end()), id));
    };
    expect_untouched(first(1), MARKER_NO_TAG);
    expect_untouched(last(1), MARKER_FRAGMENT);

    set_catch_all(perfsonar);
    expect_marked(first(2), 14, perfsonar, MARKER_MARKED_CATCH_ALL);
    expect_marked(last(2), 14, perfsonar, MARKER_MARKED_FRAGMENT);
    EXPECT_EQ(label_at(run(first(2)).frame, 14), label_at(run(last(2)).frame, 14));
    EXPECT_EQ(label_at(run(first(2)).frame, 14), label_at(run(ethernet(type_ipv6) + Ip6{.next = 17}.over(whole)).frame, 14))
        << "and the label of those of the flow's packets that are whole";

    ASSERT_TRUE(table_->put(key(5001, 5002, 17), atlas));
    expect_marked(first(3), 14, atlas, MARKER_MARKED_FLOW);
    expect_marked(last(3), 14, atlas, MARKER_MARKED_FRAGMENT);
    expect_marked(last(2), 14, perfsonar, MARKER_MARKED_FRAGMENT);  // a datagram that began before
    expect_untouched(last(4), MARKER_FRAGMENT);                     // one whose beginning was not seen

    table_->remove(key(5001, 5002, 17));
    clear_catch_all();
    expect_untouched(first(3), MARKER_NO_TAG);  // a later datagram with the same number
    expect_untouched(last(3), MARKER_FRAGMENT);
    // RFC 6946: a fragment header alone makes no fragment.
    ASSERT_TRUE(table_->put(key(5001, 5002, 17), atlas));
    expect_marked(ethernet(type_ipv6) + Ip6{.next = 44}.over(fragment(17, 0, false, whole)), 14, atlas, MARKER_MARKED_FLOW);
}

TEST_F(Marking, ForwardedPacketsAreMarkedIfConfigured) {
    const Bytes frame = ethernet(type_ipv6) + Ip6{}.over(tcp(1, 2));
    __sk_buff forwarded{};
    forwarded.ingress_ifindex = loopback;
    set_catch_all(perfsonar);
    Ran ran = run(frame, -1, &forwarded);
    EXPECT_EQ(ran.frame, frame);
    EXPECT_EQ(ran.outcome, MARKER_FORWARDED);

    marker::Options options;
    options.forwarded = true;
    load(options);
    set_catch_all(perfsonar);
    ran = run(frame, -1, &forwarded);
    EXPECT_EQ(ran.outcome, MARKER_MARKED_CATCH_ALL);
}

TEST_F(Marking, TruncatedPacketsAreNotChanged) {
    set_catch_all(perfsonar);
    const Bytes cut_in_ports = ethernet(type_ipv6) + Ip6{}.over(Bytes{1, 2});
    expect_untouched(cut_in_ports, MARKER_TRUNCATED);
    expect_untouched(ethernet(type_ipv6) + Ip6{.next = 60}.over(Bytes{6, 9, 0, 0, 0, 0, 0, 0}), MARKER_TRUNCATED);
    expect_untouched(ethernet(type_ipv6) + Ip6{.next = 44}.over(Bytes{6, 0, 0, 0}), MARKER_TRUNCATED);
    expect_untouched(ethernet(0x8100) + vlan(1, type_ipv6) + Bytes(20, 0x60), MARKER_TRUNCATED);
}

TEST_F(Marking, ObserveCountsAndWritesNothing) {
    set_catch_all(perfsonar);
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    table_->set_observe(true);
    expect_untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094)), MARKER_OBSERVED_FLOW);
    expect_untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(40001, 1094)), MARKER_OBSERVED_CATCH_ALL);
    table_->set_observe(false);
    expect_marked(ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094)), 14, atlas, MARKER_MARKED_FLOW);
}

TEST_F(Marking, KeepExplicitKeepsAnApplicationsLabel) {
    marker::Options options;
    options.policy = marker::Policy::keep_explicit;
    load(options);
    set_catch_all(perfsonar);
    // A test run has no socket hash, so the only automatic label is 0; the kernel's own are looked at in the integration
    // tests.
    expect_untouched(ethernet(type_ipv6) + Ip6{.label = 0x12345}.over(tcp(1, 2)), MARKER_KEPT_EXPLICIT);
    expect_marked(ethernet(type_ipv6) + Ip6{}.over(tcp(1, 2)), 14, perfsonar, MARKER_MARKED_CATCH_ALL);
}

// The program for devices without an Ethernet header expects an IP header first: whatever else it meets, it harms nothing.
TEST_F(Marking, TheRawIpProgramDoesNotChangeEthernetFrames) {
    set_catch_all(perfsonar);
    const Bytes frame = ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094));
    const Ran ran = run(frame, program_->raw_ip().value());
    EXPECT_EQ(ran.frame, frame);
    EXPECT_EQ(ran.outcome, MARKER_NOT_IP);
    EXPECT_EQ(ran.verdict, next_program);
}

TEST_F(Marking, OnlyTheLabelBitsOfIpv6HeadersChange) {
    set_catch_all(perfsonar);
    std::mt19937 random(20261123);
    const auto below = [&random](unsigned bound) { return static_cast<unsigned>(random() % bound); };
    int marked = 0;
    for (int round = 0; round < 20000; ++round) {
        Bytes frame;
        const unsigned type = below(4) == 0 ? below(65536) : type_ipv6;
        frame = below(3) == 0 ? ethernet(0x8100) + vlan(below(4096), type) : ethernet(type);
        constexpr unsigned headers[] = {0, 6, 17, 43, 44, 51, 58, 59, 60, 135};
        Bytes payload(below(120));
        for (auto& byte : payload)
            byte = below(2) == 0 ? static_cast<std::uint8_t>(headers[below(10)]) : static_cast<std::uint8_t>(below(8));
        append(frame, Ip6{.traffic_class = below(256),
                          .label = below(1u << 20),
                          .next = headers[below(10)],
                          .payload_length = static_cast<int>(below(65536))}
                          .over(payload));
        if (below(8) == 0) frame[below(static_cast<unsigned>(frame.size()))] = static_cast<std::uint8_t>(below(256));
        const Ran ran = run(frame);
        ASSERT_EQ(ran.verdict, next_program);
        ASSERT_EQ(ran.frame.size(), frame.size());
        if (ran.frame == frame) continue;
        ++marked;
        ASSERT_EQ(ran.outcome, MARKER_MARKED_CATCH_ALL);
        // A flipped byte may have turned the tagged frame into a plain one or back: the offset is where the change is.
        const std::size_t at = frame[12] == 0x81 && frame[13] == 0 ? 18 : 14;
        ASSERT_EQ(with_label(frame, at, label_at(ran.frame, at)), ran.frame) << "round " << round;
        ASSERT_EQ(frame[at] >> 4, 6);
    }
    EXPECT_GT(marked, 1000) << "the rounds must reach the write";
}

marker_counts counts_of(const marker::Program& program) {
    marker_counts sum{};
    for (int slot = 0; slot < static_cast<int>(MARKER_COUNTED_INTERFACES); ++slot) {
        const auto one = program.counts(slot);
        if (!one) continue;
        for (std::size_t family = 0; family < MARKER_FAMILIES; ++family)
            for (std::size_t outcome = 0; outcome < MARKER_OUTCOMES; ++outcome)
                sum.bytes[family][outcome] += one->bytes[family][outcome];
    }
    return sum;
}

TEST_F(Marking, BytesAreCountedByFamilyOutcomeAndExperiment) {
    ASSERT_TRUE(table_->put(key(40000, 1094), atlas));
    const Bytes tagged = ethernet(type_ipv6) + Ip6{}.over(tcp(40000, 1094) + Bytes(1000, 1));
    const Bytes other = ethernet(type_ipv6) + Ip6{}.over(tcp(1095, 40000) + Bytes(500, 1));
    const Bytes old = ethernet(0x0800) + Bytes(60, 0x45);
    const marker_counts before = counts_of(*program_);
    const auto experiments_before = *program_->experiments();
    for (const Bytes& frame : {tagged, other, old, ethernet(0x0806) + Bytes(60, 1)}) run(frame);
    const marker_counts after = counts_of(*program_);
    const auto difference = [&](std::uint32_t family, std::uint32_t outcome) {
        return after.bytes[family][outcome] - before.bytes[family][outcome];
    };
    EXPECT_EQ(difference(MARKER_FAMILY_IPV6, MARKER_MARKED_FLOW), tagged.size());
    EXPECT_EQ(difference(MARKER_FAMILY_IPV6, MARKER_NO_TAG), other.size());
    EXPECT_EQ(difference(MARKER_FAMILY_IPV4, MARKER_IPV4), old.size());
    EXPECT_EQ(difference(MARKER_FAMILY_IPV6, MARKER_NOT_IP) + difference(MARKER_FAMILY_IPV4, MARKER_NOT_IP), 0u);
    const std::uint32_t place = label::reverse_experiment(atlas.experiment);
    EXPECT_EQ((*program_->experiments())[place] - experiments_before[place], tagged.size());
}

TEST_F(Marking, WhoSendsWithoutATagIsSampledEvery16KiB) {
    const Bytes server =
        ethernet(type_ipv6) + Ip6{.destination = "2001:db8:1:2:3::9"}.over(tcp(1095, 40000) + Bytes(1400, 1));
    const Bytes client = ethernet(type_ipv6) + Ip6{.destination = "2001:db8:1:3::9"}.over(tcp(60000, 443) + Bytes(1400, 1));
    for (int i = 0; i < 100; ++i) run(server);
    for (int i = 0; i < 50; ++i) run(client);
    std::uint64_t of_server = 0, of_client = 0;
    const auto talkers = program_->talkers();
    ASSERT_TRUE(talkers);
    for (const auto& [talker, samples] : *talkers) {
        EXPECT_EQ(talker.protocol, 6);
        EXPECT_EQ(talker.outcome, static_cast<std::uint32_t>(MARKER_NO_TAG));
        const bool is_server = talker.port == htons(1095);
        const Address network = *Address::parse(is_server ? "2001:db8:1:2::" : "2001:db8:1:3::");
        EXPECT_EQ(std::memcmp(&talker.network, network.bytes().data(), 8), 0);
        EXPECT_EQ(talker.port, is_server ? htons(1095) : 0) << "an ephemeral port is no service";
        (is_server ? of_server : of_client) += samples << MARKER_SAMPLE_SHIFT;
    }
    EXPECT_NEAR(static_cast<double>(of_server), 100.0 * static_cast<double>(server.size()), 16384.0 * 2);
    EXPECT_NEAR(static_cast<double>(of_client), 50.0 * static_cast<double>(client.size()), 16384.0 * 2);
}

}  // namespace
}  // namespace flowd::test
