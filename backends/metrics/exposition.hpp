// SPDX-License-Identifier: Apache-2.0
// The page for a scraper, in the negotiated format and coding (RFC 9110 section 12). Pure, any thread.
#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace flowd::metrics {

enum class Format { text, open_metrics };

/// The format that an Accept header selects: OpenMetrics if its weight is not below that of Prometheus' text format.
[[nodiscard]] Format format_of(std::string_view accept);
/// Whether an Accept-Encoding header allows gzip.
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding);

[[nodiscard]] std::string_view content_type_of(Format format);

/// One page, written family by family.
class Page {
  public:
    /// `expected`: bytes to reserve, so that a large page is not reallocated.
    explicit Page(Format format, std::size_t expected = 0) : format_(format) { text_.reserve(expected); }
    void add(prometheus::MetricFamily&& family);
    [[nodiscard]] std::string finish() &&;

  private:
    Format format_;
    std::string text_;
    std::set<std::string, std::less<>> names_;  ///< of families, for OpenMetrics
};

}  // namespace flowd::metrics
