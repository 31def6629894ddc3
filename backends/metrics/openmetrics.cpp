// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/openmetrics.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace flowd::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::string_view total = "_total";

[[nodiscard]] const char* word_of(MetricType type) {
    switch (type) {
        case MetricType::Counter:
            return "counter";
        case MetricType::Gauge:
            return "gauge";
        case MetricType::Histogram:
            return "histogram";
        default:
            return "unknown";
    }
}

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (c == '\\' || c == '"') out.push_back('\\');
        if (c == '\n')
            out.append("\\n");
        else
            out.push_back(c);
    }
}

void append_number(std::string& out, double value) {
    if (std::isnan(value)) return void(out.append("NaN"));
    if (std::isinf(value)) return void(out.append(value > 0 ? "+Inf" : "-Inf"));
    std::array<char, 32> digits;
    // libc++ 14 lacks std::to_chars for floating point, which gives the shortest text.
    constexpr double exact = 9007199254740992.0;  // 2^53
    if (std::abs(value) < exact && value == std::floor(value)) {
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<std::int64_t>(value)).ptr;
        out.append(digits.data(), end);
    } else {
        const int length = std::snprintf(digits.data(), digits.size(), "%.15g", value);
        out.append(digits.data(), static_cast<std::size_t>(length));
    }
}

void append_labels(std::string& out, const ClientMetric& metric, const double* bound = nullptr) {
    if (metric.label.empty() && bound == nullptr) return;
    char before = '{';
    for (const auto& label : metric.label) {
        out.push_back(before);
        out.append(label.name).append("=\"");
        append_escaped(out, label.value);
        out.push_back('"');
        before = ',';
    }
    if (bound != nullptr) {
        out.push_back(before);
        out.append("le=\"");
        append_number(out, *bound);
        if (std::isfinite(*bound) && *bound == std::floor(*bound)) out.append(".0");  // the canonical "le" is a float
        out.push_back('"');
    }
    out.push_back('}');
}

void append_sample(std::string& out, std::string_view name, std::string_view suffix, const ClientMetric& metric,
                   double value, const double* bound = nullptr) {
    out.append(name).append(suffix);
    append_labels(out, metric, bound);
    out.push_back(' ');
    append_number(out, value);
    out.push_back('\n');
}

void append_metric(std::string& out, std::string_view name, MetricType type, const ClientMetric& metric) {
    switch (type) {
        case MetricType::Counter:
            return append_sample(out, name, total, metric, metric.counter.value);
        case MetricType::Gauge:
            return append_sample(out, name, {}, metric, metric.gauge.value);
        case MetricType::Histogram:
            for (const auto& bucket : metric.histogram.bucket)
                append_sample(out, name, "_bucket", metric, static_cast<double>(bucket.cumulative_count),
                              &bucket.upper_bound);
            append_sample(out, name, "_count", metric, static_cast<double>(metric.histogram.sample_count));
            return append_sample(out, name, "_sum", metric, metric.histogram.sample_sum);
        default:
            return append_sample(out, name, {}, metric, metric.untyped.value);
    }
}

}  // namespace

void append_open_metrics(std::string& out, const MetricFamily& family) {
    std::string_view name = family.name;
    if (family.type == MetricType::Counter && name.ends_with(total)) name.remove_suffix(total.size());
    out.append("# TYPE ").append(name).append(" ").append(word_of(family.type)).append("\n# HELP ").append(name);
    out.push_back(' ');
    append_escaped(out, family.help);
    out.push_back('\n');
    for (const ClientMetric& metric : family.metric) append_metric(out, name, family.type, metric);
}

}  // namespace flowd::metrics
