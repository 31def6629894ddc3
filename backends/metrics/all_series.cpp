// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/all_series.hpp"

#include <string>

namespace flowd::metrics {
namespace {

[[nodiscard]] Type type_of(const flowd_series& series) {
    switch (series.type) {
        case FLOWD_METRIC_COUNTER:
            return Type::counter;
        case FLOWD_METRIC_GAUGE:
            return Type::gauge;
        case FLOWD_METRIC_HISTOGRAM:
            return Type::histogram;
        default:
            return Type::unknown;
    }
}

[[nodiscard]] PrintedLabels labels_of(const flowd_series& series) {
    PrintedLabels labels;
    for (const flowd_label& label : SizedRange<flowd_label>(series.labels, series.label_count, series.label_stride))
        labels.add(to_view(label.name), to_view(label.value));
    return labels;
}

}  // namespace

Result<void> print_all_series(const AllMetrics& all, Page& page) {
    std::string name;  // of the family, without the prefix
    return all.visit([&](const flowd_series& series) {
        if (to_view(series.name) != name) {
            name = to_view(series.name);
            page.begin("flowd_" + name, to_view(series.help), type_of(series));
        }
        if (series.type != FLOWD_METRIC_HISTOGRAM) return page.add(labels_of(series), series.value);
        page.add(labels_of(series), {series.bounds, series.bound_count}, {series.buckets, series.bound_count + 1},
                 series.value);
    });
}

}  // namespace flowd::metrics
