// SPDX-License-Identifier: Apache-2.0
// Apart from the component, so that tests link the component alone.
#include "backends/metrics/metrics.hpp"

FLOWD_MODULE(flowd::metrics::Metrics);
