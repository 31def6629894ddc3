// SPDX-License-Identifier: Apache-2.0
// plugins/perfsonar/verdicts.hpp: what the plugin says of a flow in `flowd-cpp explain` and `flowd-cpp plan`.
// docs/explain.md lists all of it.
#pragma once

#include "lib/text/verdicts.hpp"

namespace flowd::perfsonar {

/// Name, verdict, sentence.
#define PERFSONAR_VERDICTS(X)                                                                                     \
    X(metered, "metered", "The plugin meters the flow and announces it with its tag.")                            \
    X(flows_off, "flows-off", "The option flows is off: the plugin only gives the catch-all tag.")                \
    X(protocol, "protocol", "The plugin announces TCP and UDP only; other packets have the catch-all tag.")       \
    X(not_metered, "not-metered", "No packet of the flow has passed a metered interface, or the flow has ended.") \
    X(too_small, "too-small", "Nothing was sent, or the flow is smaller than minBytes or minPackets.")            \
    X(own, "own", "It is traffic of the daemon itself.")                                                          \
    X(excluded, "excluded", "exclude has one of its networks or ports; its packets have the catch-all tag.")      \
    X(over, "over", "The flow has ended here, or another instance ended it.")                                     \
    X(refused, "refused", "The core did not take it: one of the limits in flows is reached.")

FLOWD_DEFINE_VERDICTS(PERFSONAR_VERDICTS)

}  // namespace flowd::perfsonar
