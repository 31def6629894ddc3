// SPDX-License-Identifier: Apache-2.0
// Every strategy over a table: protocol x encapsulation x headers x match, and every truncation of a long packet. What has
// to come out is built from the RFCs (packet.hpp) and the draft's test vectors, never taken from what came out.
#include <string_view>

#include "lib/bpf/flow_key.hpp"
#include "tests/unit/bpf/kernel.hpp"

namespace flowd::test {
namespace {

constexpr flowd_tag atlas{2, 16};
constexpr std::uint32_t atlas_label = 0x10040;  // draft-cc-v6ops-wlcg-flow-label-marking, test vectors
constexpr flowd_tag catch_all{14, 1};
constexpr std::uint32_t catch_all_label = 0x1c004;
constexpr std::uint32_t entropy_bits = 0xc0103;

struct Protocol {
    const char* name;
    unsigned number;
    Bytes payload;
    std::uint16_t source_port;
    std::uint16_t destination_port;
};

std::vector<Protocol> protocols() {
    return {{"tcp", 6, tcp(40000, 1094), 40000, 1094},
            {"udp", 17, udp(40000, 1094), 40000, 1094},
            {"sctp", 132, udp(40000, 1094), 40000, 1094},
            {"icmpv6 echo", 58, Bytes{128, 0, 0, 0, 0x12, 0x34, 0, 1, 1, 2, 3, 4}, 0x1234, 0x1234},
            {"icmpv6 error", 58, Bytes{1, 0, 0, 0, 0x12, 0x34, 0, 1, 1, 2, 3, 4}, 0, 0},
            {"esp", 50, Bytes(40, 9), 0, 0}};
}

struct Link {
    const char* name;
    Bytes header;
};

std::vector<Link> links() {
    return {{"plain", ethernet(0x86dd)},
            {"802.1Q", ethernet(0x8100) + vlan(42, 0x86dd)},
            {"802.1ad", ethernet(0x88a8) + vlan(42, 0x86dd)},
            {"QinQ", ethernet(0x88a8) + vlan(1, 0x8100) + vlan(2, 0x86dd)}};
}

struct Chain {
    const char* name;
    std::vector<unsigned> headers;
};

std::vector<Chain> chains() {
    return {{"none", {}},
            {"hop-by-hop", {0}},
            {"destination", {60}},
            {"routing", {43}},
            {"atomic fragment", {44}},
            {"hop-by-hop, destination, routing, destination", {0, 60, 43, 60}},
            {"any order", {43, 60, 44, 60, 43}}};
}

/// The header that the IPv6 header names, and all of them in front of the payload.
std::pair<unsigned, Bytes> behind(const Chain& chain, const Protocol& protocol) {
    Bytes bytes = protocol.payload;
    unsigned next = protocol.number;
    for (auto header = chain.headers.rbegin(); header != chain.headers.rend(); ++header) {
        bytes = *header == 44 ? fragment(next, 0, false, bytes) : extension(next, 1, bytes);
        next = *header;
    }
    return {next, bytes};
}

class Rows : public KernelTest {
  protected:
    void expect(const Bytes& in, const Bytes& out, marker_outcome outcome) {
        ++rows_;
        const Ran ran = run(in);
        EXPECT_EQ(ran.verdict, -1);
        EXPECT_EQ(ran.outcome, outcome) << marker::outcome_name(ran.outcome);
        EXPECT_EQ(ran.frame, out);
    }
    static flowd_key flow_of(const Protocol& protocol) {
        return key(protocol.source_port, protocol.destination_port, static_cast<std::uint8_t>(protocol.number));
    }
    static std::uint32_t entropy_of(const flowd_key& flow) {
        const flow_key kernel_key = bpf::to_flow_key(flow);
        return flow_entropy(flow_hash(&kernel_key)) & entropy_bits;
    }
    /// `visit(protocol, link, chain)`; a fatal failure ends it.
    template <typename Visit>
    static void for_each_row(Visit&& visit) {
        for (const Protocol& protocol : protocols())
            for (const Link& link : links())
                for (const Chain& chain : chains()) {
                    SCOPED_TRACE(std::string(protocol.name) + ", " + link.name + ", " + chain.name);
                    visit(protocol, link, chain);
                    if (HasFatalFailure()) return;
                }
    }
    int rows_ = 0;
};

TEST_F(Rows, ProtocolTimesEncapsulationTimesHeadersTimesMatch) {
    for_each_row([&](const Protocol& protocol, const Link& link, const Chain& chain) {
        const flowd_key flow = flow_of(protocol);
        const std::uint32_t entropy = entropy_of(flow);
        const auto [next, bytes] = behind(chain, protocol);
        const auto frame = [&, next = next, &bytes = bytes](std::uint32_t label) {
            return link.header + Ip6{.traffic_class = 0xbb, .label = label, .next = next}.over(bytes);
        };
        expect(frame(0xfedcb), frame(0xfedcb), MARKER_NO_TAG);
        ASSERT_TRUE(table_->put(flow, atlas));
        expect(frame(0xfedcb), frame(atlas_label | entropy), MARKER_MARKED_FLOW);
        set_catch_all(catch_all);
        expect(frame(0x00000), frame(atlas_label | entropy), MARKER_MARKED_FLOW);
        table_->remove(flow);
        expect(frame(0xfffff), frame(catch_all_label | entropy), MARKER_MARKED_CATCH_ALL);
        clear_catch_all();
    });
    EXPECT_EQ(rows_, 6 * 4 * 7 * 4);
}

/// What a strategy other than the label alone makes of a packet with this chain, and why if it leaves it alone.
struct Expected {
    Bytes frame;
    marker_outcome outcome;
};

constexpr unsigned ecn = 3;
constexpr unsigned atlas_dscp = 46;

Bytes atlas_header(unsigned next) {
    return {static_cast<std::uint8_t>(next), 0, 0x1e, 3, 0, 2, 16, 0};
}

Expected with_header(marker::Strategy strategy, const Link& link, const Protocol& protocol, const Chain& chain) {
    const auto [next, bytes] = behind(chain, protocol);
    const Bytes untouched = link.header + Ip6{.traffic_class = ecn, .label = 0xfedcb, .next = next}.over(bytes);
    if (next == 0) return {untouched, MARKER_HAS_HEADER};
    if (std::string_view(protocol.name) == "icmpv6 error") return {untouched, MARKER_CONTROL_MESSAGE};
    if (link.header.size() > 14) return {untouched, MARKER_HEADER_REFUSED};
    const unsigned own = strategy == marker::Strategy::destination ? 60 : 0;
    Bytes longer = atlas_header(next) + bytes;
    if (strategy == marker::Strategy::hop_by_hop_destination) longer = atlas_header(60) + longer;
    return {link.header + Ip6{.traffic_class = ecn, .label = 0xfedcb, .next = own}.over(longer), MARKER_MARKED_FLOW};
}

class StrategyRows : public Rows, public testing::WithParamInterface<marker::Strategy> {
  protected:
    [[nodiscard]] static Expected expected(const Link& link, const Protocol& protocol, const Chain& chain,
                                           std::uint32_t entropy) {
        const bool label = GetParam() == marker::Strategy::label_dscp;
        if (!label && GetParam() != marker::Strategy::dscp) return with_header(GetParam(), link, protocol, chain);
        const auto [next, bytes] = behind(chain, protocol);
        const Ip6 ip{
            .traffic_class = atlas_dscp << 2 | ecn, .label = label ? atlas_label | entropy : 0xfedcb, .next = next};
        return {link.header + ip.over(bytes), MARKER_MARKED_FLOW};
    }
};

TEST_P(StrategyRows, ProtocolTimesEncapsulationTimesHeaders) {
    if (IsSkipped()) return;
    marker::Options options = with_room(64);
    options.strategy = GetParam();
    options.dscp_map = {{atlas.experiment, std::nullopt, atlas_dscp}};
    load(options);
    for_each_row([&](const Protocol& protocol, const Link& link, const Chain& chain) {
        const flowd_key flow = flow_of(protocol);
        const std::uint32_t entropy = entropy_of(flow);
        const auto [next, bytes] = behind(chain, protocol);
        const Bytes frame = link.header + Ip6{.traffic_class = ecn, .label = 0xfedcb, .next = next}.over(bytes);
        expect(frame, frame, MARKER_NO_TAG);
        ASSERT_TRUE(table_->put(flow, atlas));
        const Expected wanted = expected(link, protocol, chain, entropy);
        expect(frame, wanted.frame, wanted.outcome);
        table_->remove(flow);
    });
    EXPECT_EQ(rows_, 6 * 4 * 7 * 2);
}

INSTANTIATE_TEST_SUITE_P(Strategies, StrategyRows,
                         testing::Values(marker::Strategy::hop_by_hop, marker::Strategy::destination,
                                         marker::Strategy::hop_by_hop_destination, marker::Strategy::dscp,
                                         marker::Strategy::label_dscp));

TEST_F(Rows, APacketWithoutPortsIsNotChanged) {
    set_catch_all(catch_all);
    const Chain chain{"long", {0, 60, 43, 60}};
    for (const Link& link : links()) {
        const auto [next, bytes] = behind(chain, protocols().front());
        const std::size_t ports = bytes.size() - protocols().front().payload.size();
        const Bytes whole = link.header + Ip6{.next = next}.over(bytes);
        const std::size_t needed = link.header.size() + 40 + ports + 4;
        // The kernel itself refuses test frames that end in the IPv6 header.
        for (std::size_t length = link.header.size() + 40; length < needed; ++length) {
            SCOPED_TRACE(std::string(link.name) + ", " + std::to_string(length));
            const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
            expect(cut, cut, MARKER_TRUNCATED);
        }
        const Bytes enough(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(needed));
        EXPECT_EQ(run(enough).outcome, MARKER_MARKED_CATCH_ALL);
    }
    EXPECT_GT(rows_, 200);
}

}  // namespace
}  // namespace flowd::test
