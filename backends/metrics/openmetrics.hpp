// SPDX-License-Identifier: Apache-2.0
// Writes prometheus-cpp's model in the OpenMetrics text format 1.0.0, which prometheus-cpp lacks. Pure function.
// Source: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
#pragma once

#include <prometheus/metric_family.h>

#include <string>

namespace flowd::metrics {

/// Appends counters, gauges, histograms and untyped families. The whole text ends with open_metrics_end.
void append_open_metrics(std::string& out, const prometheus::MetricFamily& family);

inline constexpr const char* open_metrics_end = "# EOF\n";

}  // namespace flowd::metrics
