// SPDX-License-Identifier: Apache-2.0
// lib/bpf/rtnetlink.hpp: interfaces, routes and addresses of this network namespace (rtnetlink(7)).
// Each function opens a socket of its own.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "flowd/abi/event.h"
#include "flowd/result.hpp"
#include "lib/netlink/socket.hpp"
#include "lib/netlink/subscription.hpp"

namespace flowd::bpf {

struct Link {
    int index = 0;
    std::string name;
    std::uint16_t hardware = 0;  ///< ARPHRD_* of linux/if_arp.h
    int master = 0;              ///< index of the bond or bridge that it is a port of; 0: none
    int lower = 0;               ///< of a VLAN, macvlan and the like: index of the interface that it is stacked on; 0: none
};

/// Notifications of changes. `groups`: bits RTMGRP_*. Of routes, only default ones are reported.
[[nodiscard]] Result<nl::Subscription> subscribe(std::uint32_t groups);

/// Requests all objects of a kind. `what` names them in an error. read(found, message) adds what a message of the answer
/// has; `found` is empty again when the request is repeated.
template <typename Found, typename Body, typename Read>
Result<Found> list(const std::string& what, std::uint16_t type, const Body& request, Read read) {
    auto socket = nl::Socket::open(NETLINK_ROUTE);
    if (!socket) return std::move(socket).error().within("listing " + what);
    Found found;
    auto done = socket->dump(
        type, request, [&](const nl::Message& message) { read(found, message); }, [&found] { found.clear(); });
    if (!done) return std::move(done).error().within("listing " + what);
    return found;
}

[[nodiscard]] Result<std::vector<Link>> links();
/// How many packets each interface has sent, by its own counter.
[[nodiscard]] Result<std::map<int, std::uint64_t>> sent_packets();
/// What the packets of a flow that leave this host pass, in order: the interface of their route, and then those below it
/// (the ports of a bond or bridge, the interface of a VLAN). Empty: neither end is an address of this host, or it has no
/// route.
[[nodiscard]] Result<std::vector<Link>> leaving_links(const flowd_key& key);
/// Interfaces with an IPv6 address of 2000::/3 (global unicast, RFC 4291 section 2.4 and the IANA registry).
[[nodiscard]] Result<std::set<int>> public_address_links();

}  // namespace flowd::bpf
