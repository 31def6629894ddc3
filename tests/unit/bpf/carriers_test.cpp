// SPDX-License-Identifier: Apache-2.0
// Strategies other than the label, byte by byte; and random packets under every strategy.
#include <functional>
#include <random>

#include "lib/bpf/flow_key.hpp"
#include "tests/unit/bpf/kernel.hpp"

namespace flowd::test {
namespace {

constexpr unsigned type_ipv6 = 0x86dd;
constexpr unsigned type_ipv4 = 0x0800;
constexpr flowd_tag atlas{2, 16};
constexpr flowd_tag cms{3, 9};
constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t destination = 60;

/// flowd-go's header: next, length 0, option 0x1e of 3 bytes, experiment << 8 | activity, Pad1.
Bytes tag_header(unsigned next, flowd_tag tag) {
    const std::uint32_t value = tag.experiment << 8 | tag.activity;
    return Bytes{static_cast<std::uint8_t>(next),
                 0,
                 0x1e,
                 3,
                 static_cast<std::uint8_t>(value >> 16),
                 static_cast<std::uint8_t>(value >> 8),
                 static_cast<std::uint8_t>(value),
                 0};
}

std::uint16_t ipv4_checksum(const Bytes& header) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < header.size(); i += 2)
        sum += static_cast<std::uint32_t>(header[i]) << 8 | header[i + 1];
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

/// From 192.0.2.1 to 192.0.2.2; `options`: a multiple of four bytes.
Bytes ipv4(unsigned type_of_service, unsigned protocol, const Bytes& payload, const Bytes& options = {},
           unsigned fragment_word = 0) {
    Bytes header{static_cast<std::uint8_t>(0x45 + options.size() / 4), static_cast<std::uint8_t>(type_of_service)};
    put16(header, static_cast<unsigned>(20 + options.size() + payload.size()));
    put16(header, 0x4711);
    put16(header, fragment_word);
    put8(header, 64);
    put8(header, protocol);
    put16(header, 0);
    append(header, Bytes{192, 0, 2, 1, 192, 0, 2, 2});
    append(header, options);
    const std::uint16_t sum = ipv4_checksum(header);
    header[10] = static_cast<std::uint8_t>(sum >> 8);
    header[11] = static_cast<std::uint8_t>(sum & 0xff);
    return header + payload;
}

flowd_key key4(std::uint16_t source, std::uint16_t destination_port, std::uint8_t protocol) {
    return make_key({*Address::parse("192.0.2.1"), source}, {*Address::parse("192.0.2.2"), destination_port}, protocol);
}

marker::Options with(marker::Strategy strategy) {
    marker::Options options;
    options.strategy = strategy;
    options.max_flows = 64;
    if (strategy == marker::Strategy::dscp || strategy == marker::Strategy::label_dscp)
        options.dscp_map = {{2, std::nullopt, 10}, {2, 16, 46}, {3, 9, 63}};
    return options;
}

class Carriers : public KernelTest {
  protected:
    void expect(const Bytes& in, const Bytes& out, marker_outcome outcome, const __sk_buff* skb = nullptr) {
        const Ran ran = run(in, -1, skb);
        EXPECT_EQ(ran.verdict, -1);
        EXPECT_EQ(ran.outcome, outcome) << marker::outcome_name(ran.outcome);
        EXPECT_EQ(ran.frame, out);
    }
};

TEST_F(Carriers, ATagInAHopByHopOrDestinationHeaderOrBoth) {
    struct Row {
        marker::Strategy strategy;
        std::vector<std::uint8_t> headers;
    };
    for (const Row& row :
         {Row{marker::Strategy::hop_by_hop, {hop_by_hop}}, Row{marker::Strategy::destination, {destination}},
          Row{marker::Strategy::hop_by_hop_destination, {hop_by_hop, destination}}}) {
        load(with(row.strategy));
        for (const flowd_tag tag : {atlas, flowd_tag{511, 63}, flowd_tag{65535, 255}}) {
            for (const unsigned protocol : {6u, 17u, 132u, 50u}) {
                SCOPED_TRACE(std::to_string(protocol) + " " + std::to_string(tag.experiment));
                const Bytes payload = protocol == 6 ? tcp(1000, 2000) : udp(1000, 2000);
                const bool has_ports = protocol != 50;
                const flowd_key flow = key(has_ports ? 1000 : 0, has_ports ? 2000 : 0, static_cast<std::uint8_t>(protocol));
                Bytes tagged = payload;
                unsigned next = protocol;
                for (auto header = row.headers.rbegin(); header != row.headers.rend(); ++header) {
                    tagged = tag_header(next, tag) + tagged;
                    next = *header;
                }
                const Ip6 plain{.traffic_class = 0xb8, .label = 0x12345, .next = protocol};
                const Ip6 marked{.traffic_class = 0xb8, .label = 0x12345, .next = next};
                expect(ethernet(type_ipv6) + plain.over(payload), ethernet(type_ipv6) + plain.over(payload), MARKER_NO_TAG);
                ASSERT_TRUE(table_->put(flow, tag));
                expect(ethernet(type_ipv6) + plain.over(payload), ethernet(type_ipv6) + marked.over(tagged),
                       MARKER_MARKED_FLOW);
                table_->remove(flow);
            }
        }
    }
}

TEST_F(Carriers, PacketsThatCannotHaveAHeaderAreNotChanged) {
    for (const marker::Strategy strategy :
         {marker::Strategy::hop_by_hop, marker::Strategy::destination, marker::Strategy::hop_by_hop_destination}) {
        load(with(strategy));
        set_catch_all(atlas);
        const auto untouched = [this](const Bytes& frame, marker_outcome outcome, const __sk_buff* skb = nullptr) {
            expect(frame, frame, outcome, skb);
        };
        untouched(ethernet(type_ipv6) + Ip6{.next = 0}.over(extension(6, 0, tcp(1, 2))), MARKER_HAS_HEADER);
        untouched(ethernet(type_ipv6) + Ip6{.next = 60}.over(tag_header(6, cms) + tcp(1, 2)), MARKER_HAS_HEADER);
        untouched(ethernet(type_ipv6) + Ip6{.payload_length = 0}.over(tcp(1, 2)), MARKER_BIG_PACKET);
        untouched(ethernet(type_ipv6) + Ip6{.payload_length = 65530}.over(tcp(1, 2)), MARKER_NO_ROOM);
        untouched(ethernet(0x8100) + vlan(1, type_ipv6) + Ip6{}.over(tcp(1, 2)), MARKER_HEADER_REFUSED);
        for (const std::uint8_t type : {133, 134, 135, 136, 137, 143, 1, 2})
            untouched(ethernet(type_ipv6) + Ip6{.next = 58}.over(Bytes{type, 0, 0, 0, 0, 0, 0, 0}), MARKER_CONTROL_MESSAGE);
        untouched(ethernet(type_ipv4) + ipv4(0, 6, tcp(1, 2)), MARKER_IPV4);
        table_->set_observe(true);
        untouched(ethernet(type_ipv6) + Ip6{}.over(tcp(1, 2)), MARKER_OBSERVED_CATCH_ALL);
    }
}

TEST_F(Carriers, ADscpFromTheOperatorsMapInIpv6AndIpv4) {
    load(with(marker::Strategy::dscp));
    const Bytes options{1, 1, 1, 0};
    for (const auto& [tag, dscp] : {std::pair{atlas, 46u}, std::pair{flowd_tag{2, 5}, 10u}, std::pair{cms, 63u}}) {
        ASSERT_TRUE(table_->put(key(1000, 2000), tag));
        ASSERT_TRUE(table_->put(key4(1000, 2000, 6), tag));
        for (unsigned ecn = 0; ecn < 4; ++ecn) {
            SCOPED_TRACE(std::to_string(dscp) + " " + std::to_string(ecn));
            const unsigned marked = dscp << 2 | ecn;
            const Bytes in6 = ethernet(type_ipv6) + Ip6{.traffic_class = ecn, .label = 0xabcde}.over(tcp(1000, 2000));
            const Bytes out6 = ethernet(type_ipv6) + Ip6{.traffic_class = marked, .label = 0xabcde}.over(tcp(1000, 2000));
            expect(in6, out6, MARKER_MARKED_FLOW);
            expect(out6, out6, MARKER_ALREADY_MARKED);
            for (const Bytes& more : {Bytes{}, options}) {
                expect(ethernet(type_ipv4) + ipv4(ecn, 6, tcp(1000, 2000), more),
                       ethernet(type_ipv4) + ipv4(marked, 6, tcp(1000, 2000), more), MARKER_MARKED_FLOW);
                expect(ethernet(0x8100) + vlan(3, type_ipv4) + ipv4(ecn, 6, tcp(1000, 2000), more),
                       ethernet(0x8100) + vlan(3, type_ipv4) + ipv4(marked, 6, tcp(1000, 2000), more), MARKER_MARKED_FLOW);
            }
        }
    }
}

TEST_F(Carriers, AnApplicationsDscpIsKeptUnlessConfigured) {
    load(with(marker::Strategy::dscp));
    set_catch_all(atlas);
    const Bytes own6 = ethernet(type_ipv6) + Ip6{.traffic_class = 8 << 2 | 1}.over(tcp(1, 2));
    const Bytes own4 = ethernet(type_ipv4) + ipv4(8 << 2 | 1, 6, tcp(1, 2));
    expect(own6, own6, MARKER_KEPT_DSCP);
    expect(own4, own4, MARKER_KEPT_DSCP);
    marker::Options options = with(marker::Strategy::dscp);
    options.replace_dscp = true;
    load(options);
    set_catch_all(atlas);
    expect(own6, ethernet(type_ipv6) + Ip6{.traffic_class = 46 << 2 | 1}.over(tcp(1, 2)), MARKER_MARKED_CATCH_ALL);
    expect(own4, ethernet(type_ipv4) + ipv4(46 << 2 | 1, 6, tcp(1, 2)), MARKER_MARKED_CATCH_ALL);
}

TEST_F(Carriers, ATagWithoutDscpIsNotMarked) {
    load(with(marker::Strategy::dscp));
    ASSERT_TRUE(table_->put(key4(1000, 2000, 17), {14, 1}));
    const Bytes frame = ethernet(type_ipv4) + ipv4(0, 17, udp(1000, 2000));
    expect(frame, frame, MARKER_UNMARKABLE_TAG);
    EXPECT_FALSE(table_->set_catch_all({14, 1}));
}

TEST_F(Carriers, Ipv4FragmentsFollowTheirFirst) {
    load(with(marker::Strategy::dscp));
    ASSERT_TRUE(table_->put(key4(1000, 2000, 17), atlas));
    const Bytes last = ethernet(type_ipv4) + ipv4(0, 17, Bytes(80, 7), {}, 100);
    expect(last, last, MARKER_FRAGMENT);
    expect(ethernet(type_ipv4) + ipv4(0, 17, udp(1000, 2000), {}, 0x2000),
           ethernet(type_ipv4) + ipv4(46 << 2, 17, udp(1000, 2000), {}, 0x2000), MARKER_MARKED_FLOW);
    expect(last, ethernet(type_ipv4) + ipv4(46 << 2, 17, Bytes(80, 7), {}, 100), MARKER_MARKED_FRAGMENT);
}

TEST_F(Carriers, LabelAndDscpTogether) {
    load(with(marker::Strategy::label_dscp));
    ASSERT_TRUE(table_->put(key(1000, 2000), atlas));
    const flow_key kernel_key = bpf::to_flow_key(key(1000, 2000));
    const std::uint32_t label = 0x10040 | (flow_entropy(flow_hash(&kernel_key)) & 0xc0103);
    expect(ethernet(type_ipv6) + Ip6{.traffic_class = 2, .label = 0xabcde}.over(tcp(1000, 2000)),
           ethernet(type_ipv6) + Ip6{.traffic_class = 46 << 2 | 2, .label = label}.over(tcp(1000, 2000)),
           MARKER_MARKED_FLOW);
    expect(ethernet(type_ipv6) + Ip6{.traffic_class = 8 << 2, .label = 0xabcde}.over(tcp(1000, 2000)),
           ethernet(type_ipv6) + Ip6{.traffic_class = 8 << 2, .label = label}.over(tcp(1000, 2000)), MARKER_MARKED_FLOW);
    ASSERT_TRUE(table_->put(key4(1000, 2000, 6), atlas));
    expect(ethernet(type_ipv4) + ipv4(1, 6, tcp(1000, 2000)), ethernet(type_ipv4) + ipv4(46 << 2 | 1, 6, tcp(1000, 2000)),
           MARKER_MARKED_FLOW);
}

/// Where the IP header of a frame is, up to two VLAN tags on; nothing when there is none.
std::optional<std::size_t> network_of(const Bytes& frame) {
    std::size_t at = 12;
    for (int tags = 0; at + 2 <= frame.size(); ++tags) {
        const unsigned type = static_cast<unsigned>(frame[at]) << 8 | frame[at + 1];
        if (type == type_ipv6 || type == type_ipv4) return at + 2;
        if ((type != 0x8100 && type != 0x88a8) || tags == 2) return std::nullopt;
        at += 4;
    }
    return std::nullopt;
}

/// What the strategy owns, taken back from the output: has to give the input.
Bytes taken_back(const Bytes& in, Bytes out, marker::Strategy strategy) {
    const auto at = network_of(in);
    if (!at || out == in) return out;
    const auto restore = [&](std::size_t offset, unsigned mask) {
        out[*at + offset] = static_cast<std::uint8_t>((out[*at + offset] & ~mask) | (in[*at + offset] & mask));
    };
    const bool label = strategy == marker::Strategy::label || strategy == marker::Strategy::label_dscp;
    const bool dscp = strategy == marker::Strategy::dscp || strategy == marker::Strategy::label_dscp;
    const bool is_ipv6 = in[*at] >> 4 == 6;
    if (label && is_ipv6) {
        restore(1, 0x0f);
        restore(2, 0xff);
        restore(3, 0xff);
    }
    if (dscp && is_ipv6) {
        restore(0, 0x0f);
        restore(1, 0xc0);
    }
    if (dscp && !is_ipv6) {
        restore(1, 0xfc);
        restore(10, 0xff);
        restore(11, 0xff);
    }
    if (label || dscp) return out;
    const std::size_t room = strategy == marker::Strategy::hop_by_hop_destination ? 16 : 8;
    if (out.size() != in.size() + room || !is_ipv6) return out;
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(*at + 40),
              out.begin() + static_cast<std::ptrdiff_t>(*at + 40 + room));
    const unsigned length = static_cast<unsigned>(in[*at + 4]) << 8 | in[*at + 5];
    const unsigned grown = static_cast<unsigned>(out[*at + 4]) << 8 | out[*at + 5];
    if (grown == length + room) restore(4, 0xff), restore(5, 0xff);
    restore(6, 0xff);
    return out;
}

class AnyPacket : public Carriers, public testing::WithParamInterface<marker::Strategy> {};

TEST_P(AnyPacket, ChangesOnlyInTheBitsThatTheStrategyOwns) {
    if (IsSkipped()) return;
    load(with(GetParam()));
    set_catch_all(atlas);
    std::mt19937 random(20261126);
    const auto below = [&random](unsigned bound) { return static_cast<unsigned>(random() % bound); };
    int marked = 0;
    for (int round = 0; round < 8000; ++round) {
        constexpr unsigned headers[] = {0, 6, 17, 43, 44, 50, 51, 58, 59, 60, 132, 135};
        Bytes payload(4 + below(140));
        for (auto& byte : payload)
            byte = static_cast<std::uint8_t>(below(2) == 0 ? headers[below(12)] : below(below(2) == 0 ? 8 : 256));
        const bool v4 = below(3) == 0;
        const unsigned type = v4 ? type_ipv4 : below(6) == 0 ? below(65536) : type_ipv6;
        const unsigned traffic_class = below(2) == 0 ? below(4) : below(256);  // half of them without a DSCP
        Bytes frame;
        switch (below(4)) {
            case 0:
                frame = ethernet(0x8100) + vlan(below(4096), type);
                break;
            case 1:
                frame = ethernet(0x88a8) + vlan(below(4096), 0x8100) + vlan(below(4096), type);
                break;
            default:
                frame = ethernet(type);
        }
        if (v4)
            append(frame, ipv4(traffic_class, headers[below(12)], payload, Bytes(4 * below(3), 1),
                               below(4) == 0 ? below(65536) : 0));
        else
            append(frame, Ip6{.traffic_class = traffic_class,
                              .label = below(1u << 20),
                              .next = headers[below(12)],
                              .payload_length = below(2) == 0 ? -1 : static_cast<int>(below(65536))}
                              .over(payload));
        if (below(8) == 0)
            frame[12 + below(static_cast<unsigned>(frame.size() - 12))] = static_cast<std::uint8_t>(below(256));
        const Ran ran = run(frame);
        ASSERT_EQ(ran.verdict, -1);
        ASSERT_EQ(taken_back(frame, ran.frame, GetParam()), frame)
            << "round " << round << " " << marker::outcome_name(ran.outcome);
        if (ran.frame == frame) continue;
        ++marked;
        ASSERT_LE(ran.outcome, MARKER_MARKED_FRAGMENT) << "what is changed is counted as marked";
        const auto at = network_of(frame);
        if (!at || frame[*at] >> 4 != 4) continue;
        // A checksum that was right is right, and one that was wrong is as wrong as before.
        const std::size_t length = (frame[*at] & 0xfu) * 4;
        const auto sum = [&](const Bytes& bytes) {
            return ipv4_checksum(Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(*at),
                                       bytes.begin() + static_cast<std::ptrdiff_t>(std::min(*at + length, bytes.size()))));
        };
        ASSERT_EQ(sum(ran.frame), sum(frame)) << "round " << round;
    }
    EXPECT_GT(marked, 400) << "the rounds must reach the write";
}

INSTANTIATE_TEST_SUITE_P(Strategies, AnyPacket,
                         testing::Values(marker::Strategy::label, marker::Strategy::hop_by_hop,
                                         marker::Strategy::destination, marker::Strategy::hop_by_hop_destination,
                                         marker::Strategy::dscp, marker::Strategy::label_dscp));

}  // namespace
}  // namespace flowd::test
