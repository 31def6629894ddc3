// SPDX-License-Identifier: Apache-2.0
#include "core/service/bus_metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace flowd::core {
namespace {

struct BusMetrics : ::testing::Test {
    BusMetrics() {
        bus.live = 3;
        bus.expired[static_cast<std::size_t>(Expiry::idle)] = 2;
        auto& in = bus.announcers.emplace_back();
        in.name = "fireflyp/regional";
        in.offered[FLOWD_EVENT_START] = 9;
        in.refused[static_cast<std::size_t>(Refusal::full)] = 4;
        auto& out = bus.backends.emplace_back();
        out.name = "firefly";
        out.delivered[FLOWD_EVENT_END] = 5;
        out.latency[0] = 1;  // below 1 us
        out.latency[3] = 2;  // below 8 us
        out.latency_sum_us = 12;
    }
    /// The one series of this name with these labels.
    [[nodiscard]] MetricSample series(std::string_view name, const MetricLabels& labels) const {
        const auto all = bus_metrics(bus);
        const auto is_it = [&](const MetricSample& one) { return one.name == name && one.labels == labels; };
        EXPECT_EQ(std::count_if(all.begin(), all.end(), is_it), 1) << name;
        const auto found = std::find_if(all.begin(), all.end(), is_it);
        return found == all.end() ? MetricSample{} : *found;
    }
    BusCounters bus;
};

TEST_F(BusMetrics, HaveTheCountersOfAllPluginsAndBackends) {
    const std::pair<std::string, std::string> plugin{"flowd_instance", "plugin fireflyp/regional"};
    const std::pair<std::string, std::string> backend{"flowd_instance", "backend firefly"};
    EXPECT_EQ(series("bus_flows_live", {}).value, 3);
    EXPECT_EQ(series("bus_flows_expired_total", {{"reason", "idle"}}).value, 2);
    EXPECT_EQ(series("bus_offered_total", {plugin, {"kind", "start"}}).value, 9);
    EXPECT_EQ(series("bus_refused_total", {plugin, {"reason", "full"}}).value, 4);
    EXPECT_EQ(series("bus_delivered_total", {backend, {"kind", "end"}}).value, 5);
    EXPECT_EQ(series("bus_queue_behind", {backend}).value, 0);
}

TEST_F(BusMetrics, LatencyIsAHistogramInSeconds) {
    const MetricSample latency = series("bus_queue_latency_seconds", {{"flowd_instance", "backend firefly"}});
    EXPECT_EQ(latency.type, MetricType::histogram);
    EXPECT_DOUBLE_EQ(latency.value, 12e-6);
    ASSERT_EQ(latency.buckets.size(), latency.bounds.size() + 1);
    EXPECT_DOUBLE_EQ(latency.bounds[3], 8e-6);
    EXPECT_EQ(latency.buckets[0], 1U);
    EXPECT_EQ(latency.buckets[3], 2U);
    EXPECT_TRUE(std::is_sorted(latency.bounds.begin(), latency.bounds.end()));
}

TEST_F(BusMetrics, SeriesOfOneNameAreAdjacentAndCountersEndInTotal) {
    std::set<std::string> past;
    std::string present;
    for (const MetricSample& one : bus_metrics(bus)) {
        if (one.name != present) {
            EXPECT_TRUE(past.insert(one.name).second) << one.name << " begins twice";
        }
        present = one.name;
        EXPECT_EQ(one.type == MetricType::counter, one.name.ends_with("_total")) << one.name;
        EXPECT_EQ(one.name.rfind("bus_", 0), 0U) << one.name;
        EXPECT_FALSE(one.help.empty()) << one.name;
    }
}

TEST_F(BusMetrics, AreVisitedTogetherWithTheSeriesOfInstances) {
    Metrics metrics;
    metrics.add_source([this] { return bus_metrics(bus); });
    const auto own = *metrics.open({MetricType::gauge, "x", "", "", {{"flowd_instance", "backend firefly"}}, {}});
    const auto all = metrics.snapshot();
    EXPECT_EQ(all.size(), bus_metrics(bus).size() + 1);
    EXPECT_EQ(metrics.snapshot("flowd_instance", "backend firefly").size(), 1U) << "of an instance: its own";
    EXPECT_EQ(metrics.open({MetricType::gauge, "bus_x", "", "", {}, {}}).error().code, FLOWD_INVALID);
}

}  // namespace
}  // namespace flowd::core
