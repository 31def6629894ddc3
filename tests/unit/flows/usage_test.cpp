// SPDX-License-Identifier: Apache-2.0
// Which measurement of a flow is believed.
#include "core/flows/samples.hpp"
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

constexpr std::uint32_t both = FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS;

class Usage : public FlowsTest {
  protected:
    void SetUp() override { emit(api_, start(1)); }
    void report(std::uint64_t bytes, std::uint32_t source, std::uint64_t sender = 0,
                std::uint32_t known = FLOWD_USAGE_BYTES, std::uint64_t packets = 0) {
        auto event = ongoing(1);
        event.usage = {bytes, 0, packets, 0, source, known};
        event.sender = sender;
        emit(api_, event);
    }
    void sample(std::uint64_t bytes, const char* source) {
        flowd_sample one{};
        one.size = sizeof one;
        one.flow_id = flow().flow_id;
        one.source = text(source);
        one.usage = {bytes, 0, 0, 0, FLOWD_USAGE_KERNEL, FLOWD_USAGE_BYTES};
        SamplePeriod period;
        EXPECT_EQ(period.add("e", &one), FLOWD_OK);
        bus->apply_samples(period);
    }
    [[nodiscard]] flowd_flow flow() const {
        flowd_flow out{};
        bus->find(key_of(1), [&](const flowd_flow& found) { out = found; });
        return out;
    }
    [[nodiscard]] std::uint64_t bytes() const { return flow().usage.bytes_sent; }

    AnnouncerId api_ = announcer("api");
};

TEST_F(Usage, IsFromTheHighestSource) {
    report(100, FLOWD_USAGE_METER);
    EXPECT_EQ(flow().usage.source, std::uint32_t{FLOWD_USAGE_METER});
    report(200, FLOWD_USAGE_APPLICATION);
    report(900, FLOWD_USAGE_METER);
    report(900, FLOWD_USAGE_UNKNOWN);
    EXPECT_EQ(bytes(), 200u);
    sample(250, "netlink");
    report(900, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 250u);
    EXPECT_EQ(flow().usage.source, std::uint32_t{FLOWD_USAGE_KERNEL});
    report(300, 1000);
    EXPECT_EQ(bytes(), 300u) << "sources of a later minor are compared as numbers";
}

TEST_F(Usage, NeverDecreases) {
    report(1000, FLOWD_USAGE_METER);
    report(900, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 1000u) << "another source";
    report(950, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 1000u);
    report(1100, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 1100u);
    report(1050, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 1100u) << "out of order";
    report(1200, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 1200u);
}

TEST_F(Usage, OfARestartedSourceIsAddedToThePreviousCount) {
    report(1000, FLOWD_USAGE_APPLICATION);
    report(0, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 1000u);
    report(100, FLOWD_USAGE_APPLICATION);
    report(300, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 1300u);
    report(10, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 1310u) << "and a second time";
    Backend firefly(*bus, "firefly");
    auto last = end(1);
    last.usage = {40, 0, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    emit(api_, last);
    EXPECT_EQ(firefly.take_all().back().event.usage.bytes_sent, 1340u);
    emit(api_, start(1));
    report(5, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), 5u) << "another flow";
}

TEST_F(Usage, OfTwoReportersIsNotAdded) {
    report(1000, FLOWD_USAGE_APPLICATION, 7);
    report(10, FLOWD_USAGE_APPLICATION, 8);
    report(1010, FLOWD_USAGE_APPLICATION, 7);
    report(20, FLOWD_USAGE_APPLICATION, 8);
    EXPECT_EQ(bytes(), 1010u) << "two senders";
    for (std::uint64_t i = 1; i <= 5; ++i) {
        sample(2000 + i, "netlink");
        sample(10 * i, "skops");
    }
    EXPECT_EQ(bytes(), 2005u) << "two enrichers";
    sample(3000, "skops");
    EXPECT_EQ(bytes(), 3000u) << "the one with the higher figures";
}

TEST_F(Usage, PacketsMayBeUnknown) {
    report(1000, FLOWD_USAGE_METER, 0, both, 10);
    EXPECT_EQ(flow().usage.known, both);
    EXPECT_EQ(flow().usage.packets_sent, 10u);
    report(1000, FLOWD_USAGE_APPLICATION, 0, FLOWD_USAGE_BYTES, 99);
    EXPECT_EQ(flow().usage.known, std::uint32_t{FLOWD_USAGE_BYTES}) << "the believed source does not count them";
    EXPECT_EQ(flow().usage.packets_sent, 0u);
    report(1000, FLOWD_USAGE_APPLICATION, 0, both, 12);
    EXPECT_EQ(flow().usage.known, both);
    EXPECT_EQ(flow().usage.packets_sent, 12u);
    report(0, FLOWD_USAGE_KERNEL, 0, 0);
    EXPECT_EQ(flow().usage.source, std::uint32_t{FLOWD_USAGE_APPLICATION}) << "nothing was measured";
}

TEST_F(Usage, DoesNotOverflow) {
    report(~std::uint64_t{0}, FLOWD_USAGE_APPLICATION);
    report(5, FLOWD_USAGE_APPLICATION);
    EXPECT_EQ(bytes(), ~std::uint64_t{0});
}

TEST_F(Usage, OfAMeterReachesBackendsLikeASample) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend metrics(*bus, "metrics");
    const auto measured = [&](std::uint64_t bytes) {
        auto event = start(2);  // as a meter repeats it while the flow goes on
        event.flags = FLOWD_METERED;
        event.usage = {bytes, 0, 0, 0, FLOWD_USAGE_METER, FLOWD_USAGE_BYTES};
        emit(meter, event);
        return metrics.take_all();
    };
    metrics.take_all();
    EXPECT_EQ(story(measured(100)), "S2");
    const auto told = measured(300);
    ASSERT_EQ(story(told), "O2");
    EXPECT_EQ(told[0].event.flags, std::uint32_t{FLOWD_METERED | FLOWD_SAMPLED});
    EXPECT_EQ(told[0].event.usage.bytes_sent, 300u);
    EXPECT_EQ(told[0].event.sample_count, 0u);
    EXPECT_EQ(story(measured(300)), "") << "nothing has grown";
}

}  // namespace
}  // namespace flowd::core::test
