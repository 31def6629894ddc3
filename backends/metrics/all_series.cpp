// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/all_series.hpp"

#include <limits>
#include <utility>

namespace flowd::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;

[[nodiscard]] MetricType type_of(const flowd_series& series) {
    switch (series.type) {
        case FLOWD_METRIC_COUNTER:
            return MetricType::Counter;
        case FLOWD_METRIC_GAUGE:
            return MetricType::Gauge;
        case FLOWD_METRIC_HISTOGRAM:
            return MetricType::Histogram;
        default:
            return MetricType::Untyped;
    }
}

[[nodiscard]] ClientLabels labels_of(const flowd_series& series) {
    ClientLabels labels;
    for (const flowd_label& label : SizedRange<flowd_label>(series.labels, series.label_count, series.label_stride))
        labels.push_back({std::string(to_view(label.name)), std::string(to_view(label.value))});
    return labels;
}

[[nodiscard]] ClientMetric::Histogram histogram_of(const flowd_series& series) {
    ClientMetric::Histogram histogram;
    histogram.sample_sum = series.value;
    for (std::size_t i = 0; i <= series.bound_count; ++i) {
        histogram.sample_count += series.buckets[i];
        histogram.bucket.push_back(
            {histogram.sample_count, i < series.bound_count ? series.bounds[i] : std::numeric_limits<double>::infinity()});
    }
    return histogram;
}

}  // namespace

Result<void> collect_all_series(const AllMetrics& all, const Take& take) {
    prometheus::MetricFamily family;
    std::string name;  // name of the family, without the prefix
    auto visited = all.visit([&](const flowd_series& series) {
        if (family.metric.empty() || to_view(series.name) != name) {
            if (!family.metric.empty()) take(std::move(family));
            name = to_view(series.name);
            family = family_of("flowd_" + name, to_view(series.help), type_of(series));
        }
        if (family.type != MetricType::Histogram) return add_value(family, labels_of(series), series.value);
        ClientMetric& metric = family.metric.emplace_back();
        metric.label = labels_of(series);
        metric.histogram = histogram_of(series);
    });
    if (!family.metric.empty()) take(std::move(family));
    return visited;
}

}  // namespace flowd::metrics
