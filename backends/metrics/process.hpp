// SPDX-License-Identifier: Apache-2.0
// Figures of this process under the names that Prometheus' client libraries use for them. Any thread.
// Source: proc(5), https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
#pragma once

#include "backends/metrics/page.hpp"

namespace flowd::metrics {

/// What /proc does not provide is omitted.
void print_process(Page& page);

}  // namespace flowd::metrics
