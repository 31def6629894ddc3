// SPDX-License-Identifier: Apache-2.0
// Flow events in the kernel's table, and the hash that C++ and BPF share.
#include <random>

#include "flowd/label.hpp"
#include "lib/bpf/flow_key.hpp"
#include "tests/unit/bpf/kernel.hpp"

namespace flowd::test {
namespace {

class TagTable : public KernelTest {};

TEST(FlowHash, IsTheSameInBothDirectionsAndDependsOnEveryPartOfTheTuple) {
    const auto entropy = [](const char* source, std::uint16_t source_port, const char* destination,
                            std::uint16_t destination_port, std::uint8_t protocol) {
        const flow_key key = bpf::to_flow_key(
            make_key({*Address::parse(source), source_port}, {*Address::parse(destination), destination_port}, protocol));
        return flow_entropy(flow_hash(&key));
    };
    const auto base = entropy("2001:db8::1", 1000, "2001:db8::2", 2000, 6);
    EXPECT_EQ(entropy("2001:db8::2", 2000, "2001:db8::1", 1000, 6), base);
    EXPECT_NE(entropy("2001:db8::2", 1000, "2001:db8::1", 2000, 6), base);
    EXPECT_NE(entropy("2001:db8::3", 1000, "2001:db8::2", 2000, 6), base);
    EXPECT_NE(entropy("2001:db8::1", 1001, "2001:db8::2", 2000, 6), base);
    EXPECT_NE(entropy("2001:db8::1", 1000, "2001:db8::2", 2001, 6), base);
    EXPECT_NE(entropy("2001:db8::1", 1000, "2001:db8::2", 2000, 17), base);
    EXPECT_EQ(entropy("2001:db8::1", 1000, "2001:db8::1", 2000, 6), entropy("2001:db8::1", 2000, "2001:db8::1", 1000, 6));
}

TEST(FlowHash, SpreadsEvenlyOverTheEntropyBits) {
    std::array<int, 32> seen{};
    constexpr int flows = 32000;
    for (int i = 0; i < flows; ++i) {
        const flow_key key =
            bpf::to_flow_key(make_key({*Address::parse("2001:db8::1"), static_cast<std::uint16_t>(1024 + i)},
                                      {*Address::parse("2001:db8::2"), 443}, 6));
        const std::uint32_t hash = flow_entropy(flow_hash(&key));
        ++seen[(hash >> 18 & 3) << 3 | (hash >> 8 & 1) << 2 | (hash & 3)];
    }
    for (const int count : seen) {
        EXPECT_GT(count, flows / 32 / 2);
        EXPECT_LT(count, flows / 32 * 2);
    }
}

TEST_F(TagTable, BpfAndCxxAgreeOnTheHashOfRandomTuples) {
    set_catch_all({3, 2});
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        Ip6 ip;
        const auto address = [&random] {
            std::array<std::uint8_t, 16> bytes{};
            for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
            bytes[0] = 0x20;
            return Address(bytes);
        };
        const Address source = address();
        const Address destination = round % 10 == 0 ? source : address();
        const auto source_port = static_cast<std::uint16_t>(random());
        const auto destination_port = round % 20 == 0 ? source_port : static_cast<std::uint16_t>(random());
        ip.source = source.to_string();
        ip.destination = destination.to_string();
        ip.next = round % 2 == 0 ? 6 : 17;
        const Bytes frame = ethernet(0x86dd) +
                            ip.over(ip.next == 6 ? tcp(source_port, destination_port) : udp(source_port, destination_port));
        const flow_key expected = bpf::to_flow_key(
            make_key({source, source_port}, {destination, destination_port}, static_cast<std::uint8_t>(ip.next)));
        ASSERT_EQ(label_at(run(frame).frame, 14), marker::Marks({}).of({3, 2}, flow_hash(&expected)).label & label::mask);
    }
}

TEST_F(TagTable, AFullTableIsReportedAndKeepsItsFlows) {
    load(with_room(4));
    for (std::uint16_t port = 1; port <= 4; ++port) ASSERT_TRUE(table_->put(key(port, 443), {2, 16}));
    EXPECT_FALSE(table_->put(key(5, 443), {2, 16}));
    EXPECT_EQ(table_->skipped().table_full, 1u);
    EXPECT_EQ(table_->size(), 4u);
    EXPECT_TRUE(table_->put(key(4, 443), {3, 9})) << "a flow that is in can still be re-tagged";
    table_->remove(key(5, 443));
    EXPECT_EQ(table_->size(), 4u) << "the end of a flow that was refused removes no other";
    table_->remove(key(1, 443));
    EXPECT_TRUE(table_->put(key(5, 443), {2, 16}));
}

TEST_F(TagTable, FlowsThatCannotBeMarkedAreCountedAndUseNoRoom) {
    EXPECT_TRUE(table_->put(make_key({*Address::parse("192.0.2.1"), 1}, {*Address::parse("192.0.2.2"), 2}, 6), {2, 16}));
    flowd_key elsewhere = key(1, 2);
    elsewhere.scope = 4026531840;
    EXPECT_TRUE(table_->put(elsewhere, {2, 16}));
    EXPECT_EQ(table_->size(), 0u);
    EXPECT_EQ(table_->skipped().ipv4, 1u);
    EXPECT_EQ(table_->skipped().other_scope, 1u);
}

}  // namespace
}  // namespace flowd::test
