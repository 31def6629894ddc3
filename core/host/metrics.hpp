// SPDX-License-Identifier: Apache-2.0
// Time series as atomics: an update takes no lock. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/host.h"
#include "flowd/result.hpp"

namespace flowd::core {

enum class MetricType : std::uint32_t {
    counter = FLOWD_METRIC_COUNTER,
    gauge = FLOWD_METRIC_GAUGE,
    histogram = FLOWD_METRIC_HISTOGRAM,
};

using MetricLabels = std::vector<std::pair<std::string, std::string>>;  ///< sorted by name in a series

/// One series. Exists as long as it has a holder, even if it was removed from the list.
class Metric {
  public:
    Metric(MetricType type, std::vector<double> bounds);

    [[nodiscard]] MetricType type() const { return type_; }
    /// Ignores NaN, and negative amounts for counters.
    void add(double amount);
    void set(double value);  ///< gauges
    void observe(double value);

    [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }  ///< histograms: the sum
    [[nodiscard]] const std::vector<double>& bounds() const { return bounds_; }
    /// Observations between the previous bound and each bound (inclusive); the last is +Inf. Not cumulative.
    [[nodiscard]] std::vector<std::uint64_t> buckets() const;

  private:
    const MetricType type_;
    const std::vector<double> bounds_;
    std::atomic<double> value_{0};
    const std::unique_ptr<std::atomic<std::uint64_t>[]> buckets_;
};

/// The identity of a series.
struct MetricInfo {
    MetricType type = MetricType::counter;
    std::string name;
    std::string help = {};
    std::string unit = {};
    MetricLabels labels = {};
    std::vector<double> bounds = {};
};

struct MetricSample {
    MetricType type = MetricType::counter;
    std::string name;
    std::string help;
    std::string unit;
    MetricLabels labels;
    double value = 0;                    ///< histograms: the sum
    std::vector<double> bounds;          ///< histograms
    std::vector<std::uint64_t> buckets;  ///< histograms: one more than bounds
};

class Metrics {
  public:
    /// Equal name, type and labels give the same series; each open() requires a remove(). FLOWD_INVALID: a name, label or
    /// bound is malformed, or the name is used with another type or other bounds. FLOWD_LIMIT: too many series.
    [[nodiscard]] Result<std::shared_ptr<Metric>> open(MetricInfo info);
    /// Removes the series from the list at the last remove().
    void remove(const std::shared_ptr<Metric>& metric);

    /// Adds series that are computed when they are read. `source` is called on any thread, without locks. Its names must
    /// not be used by others. Call it before the first read.
    void add_source(std::function<std::vector<MetricSample>()> source) { sources_.push_back(std::move(source)); }

    /// All series; those of one name are adjacent.
    [[nodiscard]] std::vector<MetricSample> snapshot() const;
    /// Open series that have this label with this value.
    [[nodiscard]] std::vector<MetricSample> snapshot(std::string_view label, std::string_view value) const;
    [[nodiscard]] std::size_t size() const;

    static constexpr std::size_t max_series = 100'000;

  private:
    struct Family {
        MetricType type;
        std::string help;
        std::string unit;
        std::vector<double> bounds;
        struct Entry {
            std::shared_ptr<Metric> metric;
            std::size_t holders = 0;
        };
        std::map<MetricLabels, Entry> series;
    };
    using Place = std::pair<std::string, MetricLabels>;

    mutable std::mutex mutex_;
    std::map<std::string, Family, std::less<>> families_;
    std::map<const Metric*, Place> places_;
    std::vector<std::function<std::vector<MetricSample>()>> sources_;
};

}  // namespace flowd::core
