// SPDX-License-Identifier: Apache-2.0
// The exported series in prometheus-cpp's model, built during a scrape, one family at a time. A family of the largest page
// has a few MiB; all families at once, as prometheus::Collectable returns them, would have a hundred.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flowd::metrics {

/// Receives one whole family.
using Take = std::function<void(prometheus::MetricFamily&&)>;
using ClientLabels = std::vector<prometheus::ClientMetric::Label>;

[[nodiscard]] inline prometheus::MetricFamily family_of(std::string_view name, std::string_view help,
                                                        prometheus::MetricType type) {
    prometheus::MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = type;
    return family;
}

/// Counters and gauges.
inline void add_value(prometheus::MetricFamily& family, ClientLabels labels, double value) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = std::move(labels);
    (family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
}

}  // namespace flowd::metrics
