// SPDX-License-Identifier: Apache-2.0
// backends/firefly/verdicts.hpp: what the backend says of a flow in `flowd-cpp explain`. docs/explain.md lists all of it.
#pragma once

#include "lib/text/verdicts.hpp"

namespace flowd::firefly_backend {

/// Name, verdict, sentence. The first ones are Skip without size, in its order.
#define FIREFLY_VERDICTS(X)                                                                                    \
    X(protocol, "protocol", "A firefly can only report TCP and UDP.")                                          \
    X(port, "port", "A firefly cannot report port 0.")                                                         \
    X(address, "address", "A firefly cannot report unspecified addresses, or two families.")                   \
    X(received, "received", "The flow was learnt from a firefly, and forwardToDestination is off.")            \
    X(metered, "metered",                                                                                      \
      "The plugin that announces the flow forbids it, as for metered flows, and forwardToDestination is off.") \
    X(not_a_host, "not-a-host", "The destination is a multicast group, or link-local without a zone.")         \
    X(ourselves, "ourselves", "This daemon itself receives there.")                                            \
    X(relayed, "relayed", "A plugin has already relayed the original firefly there.")                          \
    X(hops, "hops", "The firefly has already passed the maximum number of daemons.")                           \
    X(peer, "peer", "The firefly came from there.")                                                            \
    X(limited, "limited", "Too many fireflies of this flow arrived in a short time.")                          \
    X(unregistered, "unregistered", "The tag is not in the registry, and privacy.onlyRegisteredTags is on.")   \
    X(not_announced, "not-announced", "No plugin has announced this flow, so no firefly is sent.")             \
    X(ended, "ended", "The flow has ended: the fireflies sent for it are no longer known.")                    \
    X(not_queued, "not-queued", "No firefly of this flow has been queued for this receiver yet.")              \
    X(destination_off, "destination-off", "sendToDestination is off.")                                         \
    X(no_receiver, "no-receiver", "No collector is configured, and sendToDestination is off.")                 \
    X(dry_run, "dry-run", "dryRun is on: nothing is sent.")                                                    \
    X(waiting, "waiting", "A firefly is queued; the collector cannot be reached at present.")                  \
    X(sent, "sent", "A firefly was sent.")

FLOWD_DEFINE_VERDICTS(FIREFLY_VERDICTS)

}  // namespace flowd::firefly_backend
