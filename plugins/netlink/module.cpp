// SPDX-License-Identifier: Apache-2.0
// Apart from the components, so that tests link them alone.
#include "plugins/netlink/enricher.hpp"
#include "plugins/netlink/netlink.hpp"

FLOWD_MODULE(flowd::netlink::Netlink, flowd::netlink::NetlinkEnricher);
