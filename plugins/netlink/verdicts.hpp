// SPDX-License-Identifier: Apache-2.0
// plugins/netlink/verdicts.hpp: what the plugin says of a connection in `flowd-cpp explain` and `flowd-cpp plan`.
// docs/explain.md lists all of it.
#pragma once

#include "lib/text/verdicts.hpp"

namespace flowd::netlink {

/// Name, verdict, sentence.
#define NETLINK_VERDICTS(X)                                                                                          \
    X(tagged, "tagged", "A rule, or experiment and activity of the plugin, give the tag.")                           \
    X(protocol, "protocol", "The plugin announces TCP, and connected UDP sockets if udp is on.")                     \
    X(not_local, "not-local", "Neither end is an address of this host.")                                             \
    X(internal, "internal", "The remote end is in a private or internal network (ignorePrivate, internalNetworks).") \
    X(own, "own", "It is a connection to this daemon itself.")                                                       \
    X(inside, "inside", "The other end of this connection is on this host, and represents it.")                      \
    X(existing, "existing", "The connection is older than the daemon, and announceExisting is off.")                 \
    X(ignored, "ignored", "The first rule that matches has ignore.")                                                 \
    X(no_rule, "no-rule", "No rule matches, and the plugin has no experiment and activity.")                         \
    X(undecided, "undecided", "A rule depends on the user or the control group, which only the open socket shows.")  \
    X(not_seen, "not-seen", "The plugin would give it a tag, but the kernel has not shown it an open connection.")

FLOWD_DEFINE_VERDICTS(NETLINK_VERDICTS)

}  // namespace flowd::netlink
