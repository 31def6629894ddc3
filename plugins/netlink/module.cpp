// SPDX-License-Identifier: Apache-2.0
// Separate from the components, so that tests can link those alone.
#include "plugins/netlink/enricher.hpp"
#include "plugins/netlink/netlink.hpp"

FLOWD_MODULE(flowd::netlink::Netlink, flowd::netlink::NetlinkEnricher);
