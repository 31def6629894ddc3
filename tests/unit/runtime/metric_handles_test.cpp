// SPDX-License-Identifier: Apache-2.0
// Handles of metrics: numbers with a generation. A stale one does nothing, whoever uses it and when.
#include <set>
#include <thread>

#include "scripted.hpp"

namespace flowd::core::test {
namespace {

struct MetricHandleTest : Rig {
    static flowd_metric open(const flowd_host* host, const char* name) {
        flowd_metric_info info{};
        info.size = sizeof info;
        info.type = FLOWD_METRIC_GAUGE;
        info.name = to_c(name);
        flowd_metric metric = 0;
        EXPECT_EQ(host->metric_open(host, &info, &metric), FLOWD_OK);
        EXPECT_NE(metric, 0U);
        return metric;
    }
    [[nodiscard]] double value(const char* name) const {
        for (const MetricSample& sample : metrics_.snapshot("flowd_instance", "plugin x"))
            if (sample.name == name) return sample.value;
        return -1;
    }
};

TEST_F(MetricHandleTest, AStaleHandleDoesNotAffectANewSeries) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    const flowd_metric stale = open(host, "before");
    host->metric_remove(host, stale);
    const flowd_metric fresh = open(host, "after");
    EXPECT_NE(fresh, stale);
    host->metric_add(host, stale, 1);
    host->metric_set(host, stale, 7);
    host->metric_observe(host, stale, 7);
    EXPECT_EQ(value("after"), 0);
    host->metric_remove(host, stale);
    host->metric_set(host, fresh, 3);
    EXPECT_EQ(value("after"), 3) << "removing it by the stale handle did nothing either";
}

TEST_F(MetricHandleTest, HandlesAreNotReused) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    std::set<flowd_metric> seen;
    for (int i = 0; i < 1000; ++i) {
        const flowd_metric metric = open(host, "again");
        EXPECT_TRUE(seen.insert(metric).second);
        host->metric_remove(host, metric);
    }
}

TEST_F(MetricHandleTest, UnknownHandlesHaveNoEffect) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    const flowd_metric good = open(host, "good");
    for (const flowd_metric wrong :
         {flowd_metric{0}, flowd_metric{1}, good + 1, good + (flowd_metric{1} << 32), ~flowd_metric{0}}) {
        host->metric_set(host, wrong, 9);
        host->metric_remove(host, wrong);
    }
    host->metric_set(host, good, 1);
    EXPECT_EQ(value("good"), 1);
}

TEST_F(MetricHandleTest, AHandleMayBeRemovedWhileAnotherThreadUsesIt) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    std::atomic<flowd_metric> current{open(host, "busy")};
    std::atomic<bool> over{false};
    std::vector<std::thread> users;
    for (int i = 0; i < 3; ++i)
        users.emplace_back([&] {
            while (!over) host->metric_add(host, current, 1);
        });
    for (int i = 0; i < 2000; ++i) {
        host->metric_remove(host, current);
        current = open(host, "busy");
    }
    over = true;
    for (std::thread& user : users) user.join();
    host->metric_set(host, current, 5);
    EXPECT_EQ(value("busy"), 5);
}

}  // namespace
}  // namespace flowd::core::test
