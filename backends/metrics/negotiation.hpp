// SPDX-License-Identifier: Apache-2.0
// Format and coding of a page, as a scraper requests them (RFC 9110 section 12). Pure, any thread.
#pragma once

#include <string_view>

#include "backends/metrics/page.hpp"

namespace flowd::metrics {

/// The format that an Accept header selects: OpenMetrics if its weight is not below that of Prometheus' text format.
[[nodiscard]] Format format_of(std::string_view accept);
/// Whether an Accept-Encoding header allows gzip.
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding);

[[nodiscard]] std::string_view content_type_of(Format format);

}  // namespace flowd::metrics
