// SPDX-License-Identifier: Apache-2.0
// Time series of the flow table and of all edges of the bus: names begin with "bus_". Pure function.
#pragma once

#include <vector>

#include "core/flows/counters.hpp"
#include "core/host/metrics.hpp"

namespace flowd::core {

/// Series of one name are adjacent.
[[nodiscard]] std::vector<MetricSample> bus_metrics(const BusCounters& bus);

}  // namespace flowd::core
