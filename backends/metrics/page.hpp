// SPDX-License-Identifier: Apache-2.0
// The text of a page of metrics: Prometheus' text format 0.0.4, or OpenMetrics 1.0.0. Any thread, one at a time.
// Sources: https://prometheus.io/docs/instrumenting/exposition_formats/
// https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace flowd::metrics {

enum class Format { text, open_metrics };
enum class Type { counter, gauge, histogram, unknown };

/// The labels of a series as they are printed, without the braces.
class PrintedLabels {
  public:
    PrintedLabels& add(std::string_view name, std::string_view value);
    [[nodiscard]] std::string_view text() const { return text_; }

  private:
    std::string text_;
};

/// Printed family by family: begin(), then the samples of that family. A family without samples is omitted.
class Page {
  public:
    explicit Page(Format format) : format_(format) {}

    /// The name of a counter ends with "_total".
    void begin(std::string_view name, std::string_view help, Type type);
    void add(const PrintedLabels& labels, double value);
    /// `buckets` has a count for each of `bounds`, and one for what is above; none is cumulative.
    void add(const PrintedLabels& labels, std::span<const double> bounds, std::span<const std::uint64_t> buckets,
             double sum);
    /// After the last family.
    void end();

    /// The text printed so far. The caller clears it after sending it.
    [[nodiscard]] std::string& text() { return text_; }

  private:
    void print_head();
    void print_sample(std::string_view suffix, std::string_view labels, double value);

    const Format format_;
    std::string text_;
    std::string name_, help_;  ///< of the current family; in OpenMetrics without "_total"
    Type type_ = Type::unknown;
    bool head_is_printed_ = false;
    std::set<std::string, std::less<>> names_;  ///< of the families, for OpenMetrics
};

}  // namespace flowd::metrics
