// SPDX-License-Identifier: Apache-2.0
#include "core/host/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

namespace flowd::core {
namespace {

struct MetricsTest : ::testing::Test {
    Metrics metrics;
    std::shared_ptr<Metric> counter =
        *metrics.open({MetricType::counter, "events_total", "Events.", "", {{"kind", "start"}}, {}});
};

TEST_F(MetricsTest, TheSameNameAndLabelsGiveTheSameSeriesInAnyOrderOfLabels) {
    const auto a = *metrics.open({MetricType::gauge, "g", "", "", {{"a", "1"}, {"b", "2"}}, {}});
    const auto b = *metrics.open({MetricType::gauge, "g", "", "", {{"b", "2"}, {"a", "1"}}, {}});
    EXPECT_EQ(a, b);
    EXPECT_NE(a, *metrics.open({MetricType::gauge, "g", "", "", {{"b", "2"}}, {}}));
}

TEST_F(MetricsTest, ACounterNeverDecreases) {
    counter->add(3);
    counter->add(-1);
    counter->add(std::nan(""));
    counter->set(1);
    EXPECT_EQ(counter->value(), 3);
}

TEST_F(MetricsTest, AHistogramCountsEachValueOnce) {
    const auto histogram = *metrics.open({MetricType::histogram, "seconds", "", "seconds", {}, {0.1, 1}});
    for (const double value : {0.05, 0.1, 0.5, 7.0}) histogram->observe(value);
    histogram->observe(std::nan(""));
    EXPECT_THAT(histogram->buckets(), ::testing::ElementsAre(2U, 1U, 1U));
    EXPECT_DOUBLE_EQ(histogram->value(), 7.65);
}

TEST_F(MetricsTest, ASeriesWithOtherHoldersRemainsAfterARemove) {
    const auto again = *metrics.open({MetricType::counter, "events_total", "", "", {{"kind", "start"}}, {}});
    counter->add(1);
    metrics.remove(counter);
    EXPECT_EQ(metrics.snapshot().size(), 1U);
    metrics.remove(again);
    EXPECT_TRUE(metrics.snapshot().empty());
    metrics.remove(again);
    counter->add(1);  // a late call: no harm
    EXPECT_EQ((*metrics.open({MetricType::counter, "events_total", "", "", {{"kind", "start"}}, {}}))->value(), 0);
}

TEST_F(MetricsTest, MalformedSeriesAreRefused) {
    const double infinity = std::numeric_limits<double>::infinity();
    for (const MetricInfo& bad : std::vector<MetricInfo>{
             {MetricType::counter, "", "", "", {}, {}},
             {MetricType::counter, "0x", "", "", {}, {}},
             {MetricType::counter, "a-b", "", "", {}, {}},
             {static_cast<MetricType>(9), "x", "", "", {}, {}},
             {MetricType::counter, "x", "", "", {}, {}},
             {MetricType::counter, "x_total", "", "", {{"a b", ""}}, {}},
             {MetricType::counter, "x_total", "", "", {{"a", "1"}, {"a", "2"}}, {}},
             {MetricType::counter, "x_total", "", "", {{"a", "\xff"}}, {}},
             {MetricType::counter, "x_total", "", "", {{"__a", ""}}, {}},
             {MetricType::histogram, "x", "", "", {{"le", "1"}}, {1}},
             {MetricType::gauge, "x", "", "", {}, {1}},
             {MetricType::histogram, "x", "", "", {}, {1, 1}},
             {MetricType::histogram, "x", "", "", {}, {infinity}},
             {MetricType::gauge, "events_total", "", "", {}, {}},
         })
        EXPECT_EQ(metrics.open(bad).error().code, FLOWD_INVALID) << bad.name;
}

TEST_F(MetricsTest, ASnapshotCanSelectOneLabel) {
    (void)metrics.open({MetricType::counter, "events_total", "", "", {{"kind", "end"}}, {}});
    const auto found = metrics.snapshot("kind", "end");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].name, "events_total");
}

TEST_F(MetricsTest, NoAdditionIsLostBetweenThreads) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 10'000; ++i) counter->add(1);
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(counter->value(), 40'000);
}

}  // namespace
}  // namespace flowd::core
