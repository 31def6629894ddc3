// SPDX-License-Identifier: Apache-2.0
// Every time series of the daemon and its instances. Any thread.
#pragma once

#include "backends/metrics/page.hpp"
#include "flowd/host.hpp"

namespace flowd::metrics {

/// Names get the prefix flowd_.
[[nodiscard]] Result<void> print_all_series(const AllMetrics& all, Page& page);

}  // namespace flowd::metrics
