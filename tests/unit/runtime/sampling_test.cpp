// SPDX-License-Identifier: Apache-2.0
// One sampling period: enrichers look at all live flows, backends get what they found.
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

struct SamplingTest : Rig {
    SamplingTest() {
        Scripts::of("b").on_events = [this](const flowd_event* events, std::size_t count) -> flowd_result {
            for (std::size_t i = 0; i < count; ++i) {
                if (events[i].kind == FLOWD_EVENT_ONGOING) sampled += events[i].sample_count;
                if (events[i].kind == FLOWD_EVENT_START) ++started;
                if (events[i].kind == FLOWD_EVENT_END) ++ended;
            }
            return FLOWD_OK;
        };
        Scripts::of("e").sample = [this](const flowd_flow* flows, std::size_t count, bool last,
                                         const flowd_samples* samples) {
            for (std::size_t i = 0; i < count; ++i) {
                flowd_sample sample{};
                sample.size = sizeof sample;
                sample.flow_id = flows[i].flow_id;
                sample.time_ns = 1;
                answer = samples->add(samples, &sample);
            }
            seen += count;
            lasts += last ? 1 : 0;
            if (hold) gate.pass();
            return static_cast<flowd_result>(FLOWD_OK);
        };
    }
    static void emit(std::uint32_t kind, std::uint32_t number) {
        const flowd_host* host = Scripts::of("p").host;
        const flowd_event one = event(kind, number);
        ASSERT_EQ(host->emit(host, &one, 1, sizeof one, nullptr, nullptr), FLOWD_OK);
    }
    static void flows(std::uint32_t count) {
        for (std::uint32_t n = 0; n < count; ++n) emit(FLOWD_EVENT_START, n);
    }
    std::shared_ptr<OpenPeriod> make_gate() {
        return std::make_shared<OpenPeriod>([this] { loop_->wake(); });
    }

    std::atomic<std::uint64_t> sampled{0}, seen{0}, lasts{0}, started{0}, ended{0};
    std::atomic<flowd_result> answer{FLOWD_OK};
    std::atomic<bool> hold{false};
    Gate gate;
    std::unique_ptr<Instance> backend = running(config(FLOWD_BACKEND, "b"));
    std::unique_ptr<Instance> plugin = running(config(FLOWD_PLUGIN, "p"));
    std::unique_ptr<Instance> enricher = running(config(FLOWD_ENRICHER, "e"));
};

TEST_F(SamplingTest, EveryLiveFlowIsSeenOnceAndItsSampleReachesTheBackend) {
    flows(1000);
    const auto period = make_gate();
    ASSERT_TRUE(enricher->sample(period));
    ASSERT_TRUE(eventually([&] { return period->idle(); }));
    EXPECT_EQ(seen, 1000U);
    EXPECT_EQ(lasts, 1U);
    bus_.apply_samples(period->close());
    EXPECT_TRUE(eventually([&] { return sampled == 1000; }));
}

TEST_F(SamplingTest, NoStartOrEndWaitsForAnEnricher) {
    flows(1000);
    hold = true;
    const auto period = make_gate();
    ASSERT_TRUE(enricher->sample(period));
    ASSERT_TRUE(gate.reached()) << "within its period";
    for (std::uint32_t n = 0; n < 1000; ++n) {
        emit(FLOWD_EVENT_START, 1000 + n);
        emit(FLOWD_EVENT_END, n);
    }
    EXPECT_TRUE(eventually([&] { return started == 2000 && ended == 1000; })) << started << " starts, " << ended << " ends";
    EXPECT_FALSE(period->idle());
    hold = false;
    gate.open();
    EXPECT_TRUE(eventually([&] { return period->idle(); }));
}

TEST_F(SamplingTest, ABusyEnricherIsNotCalledAgainAndItsLateSamplesAreRefused) {
    flows(1);
    hold = true;
    const auto period = make_gate();
    ASSERT_TRUE(enricher->sample(period));
    ASSERT_TRUE(gate.reached());
    EXPECT_FALSE(enricher->sample(make_gate()));
    EXPECT_EQ(enricher->status().periods_missed, 1U);
    bus_.apply_samples(period->close());
    hold = false;
    flowd_sample late{};
    late.size = sizeof late;
    EXPECT_EQ(period->add("e", &late), FLOWD_STOPPED);
    gate.open();
    EXPECT_TRUE(eventually([&] { return period->idle(); }));
    EXPECT_TRUE(eventually([&] { return enricher->sample(make_gate()); }));
}

TEST_F(SamplingTest, AFailingEnricherEndsItsPeriodAndIsCalledInTheNext) {
    flows(1);
    Scripts::of("e").sample = [](const flowd_flow*, std::size_t, bool, const flowd_samples*) -> flowd_result {
        return -77;
    };
    const auto period = make_gate();
    ASSERT_TRUE(enricher->sample(period));
    EXPECT_TRUE(eventually([&] { return period->idle(); }));
    EXPECT_EQ(enricher->status().bad_results, 1U);
    EXPECT_TRUE(eventually([&] { return enricher->sample(make_gate()); }));
}

}  // namespace
}  // namespace flowd::core::test
