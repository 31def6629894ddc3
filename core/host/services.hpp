// SPDX-License-Identifier: Apache-2.0
// The services that the daemon provides to instances. Any thread; they outlive all hosts.
#pragma once

#include "core/base/logging.hpp"
#include "core/config/registry.hpp"
#include "core/flows/bus.hpp"
#include "core/host/descriptors.hpp"
#include "core/host/directories.hpp"
#include "core/host/findings.hpp"
#include "core/host/interfaces.hpp"
#include "core/host/metrics.hpp"
#include "core/host/own_sockets.hpp"
#include "core/host/refusals.hpp"
#include "core/host/requests.hpp"
#include "core/host/sender_ids.hpp"
#include "core/host/shared_descriptors.hpp"

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
    Requests& requests;
};

}  // namespace flowd::core
