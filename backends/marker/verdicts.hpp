// SPDX-License-Identifier: Apache-2.0
// backends/marker/verdicts.hpp: what the marker says of a flow in `flowd-cpp explain`. docs/explain.md lists all of it.
#pragma once

#include "lib/text/verdicts.hpp"

namespace flowd::marker {

/// Name, verdict, sentence.
#define MARKER_VERDICTS(X)                                                                                        \
    X(marked, "marked", "Outgoing packets carry the tag.")                                                        \
    X(marked_catch_all, "marked-catch-all", "Outgoing packets carry the catch-all tag.")                          \
    X(observed, "observed", "The mode is observe: packets are counted and not changed.")                          \
    X(other_namespace, "other-namespace", "The flow is in another network namespace.")                            \
    X(ipv4, "ipv4", "The flow is IPv4; the configured markingStrategy needs IPv6.")                               \
    X(forwarded, "forwarded", "This host only forwards the flow, and forwarded is off.")                          \
    X(no_valid_tag, "no-valid-tag", "The tag is 0/0, which is never written.")                                    \
    X(tag_out_of_range, "tag-out-of-range", "The configured markingStrategy cannot carry the tag.")               \
    X(not_announced, "not-announced", "No plugin has announced this flow, and no catch-all tag is set.")          \
    X(ended, "ended", "The flow has ended, and no catch-all tag is set.")                                         \
    X(not_in_table, "not-in-table", "The flow is not in the marker's table: the table was full.")                 \
    X(no_interface, "no-interface", "The marker is not attached to any interface.")                               \
    X(other_interface, "other-interface", "The route of the flow goes over this interface, which is not marked.") \
    X(hook_removed, "hook-removed", "The marker's program was removed and cannot be attached again.")

FLOWD_DEFINE_VERDICTS(MARKER_VERDICTS)

}  // namespace flowd::marker
