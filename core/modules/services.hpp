// SPDX-License-Identifier: Apache-2.0
// What instances use of the daemon. All of it may be used from any thread and outlives every host.
#pragma once

#include "core/config/registry.hpp"
#include "core/flows/bus.hpp"
#include "core/modules/findings.hpp"
#include "core/service/descriptors.hpp"
#include "core/service/directories.hpp"
#include "core/service/interfaces.hpp"
#include "core/service/logging.hpp"
#include "core/service/metrics.hpp"
#include "core/service/own_sockets.hpp"
#include "core/service/refusals.hpp"
#include "core/service/sender_ids.hpp"
#include "core/service/shared_descriptors.hpp"

namespace flowd::core {

struct Services {
    Bus& bus;
    Metrics& metrics;
    DescriptorStore& descriptors;
    SharedDescriptors& shared;
    Interfaces& interfaces;
    OwnSockets& sockets;
    Refusals& refusals;
    FindingsBoard& findings;
    const SenderIds& senders;
    const Directories& directories;
    const Registries& registries;
    const Logging& logging;
};

}  // namespace flowd::core
