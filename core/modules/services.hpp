// SPDX-License-Identifier: Apache-2.0
// What instances use of the daemon. All of it may be used from any thread and outlives every host.
#pragma once

#include "core/config/registry.hpp"
#include "core/flows/bus.hpp"
#include "core/service/descriptors.hpp"
#include "core/service/logging.hpp"
#include "core/service/metrics.hpp"
#include "core/service/shared_descriptors.hpp"

namespace flowd::core {

struct Services {
    Bus& bus;
    Metrics& metrics;
    DescriptorStore& descriptors;
    SharedDescriptors& shared;
    const Registries& registries;
    const Logging& logging;
};

}  // namespace flowd::core
