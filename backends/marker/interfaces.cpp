// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/interfaces.hpp"

#include <net/if_arp.h>

#include <algorithm>
#include <set>

namespace flowd::marker {

Result<Interfaces::Found> Interfaces::find() const {
    auto links = bpf::links();
    if (!links) return std::move(links).error();
    std::set<int> discovered;
    if (discover_ || by_default_route()) {
        auto more = discover_ ? bpf::public_address_links() : bpf::default_route_links();
        if (!more) return std::move(more).error();
        discovered = *std::move(more);
    }
    Found found;
    found.missing = names_;
    for (bpf::Link& link : *links) {
        const auto name = std::find(found.missing.begin(), found.missing.end(), link.name);
        const bool named = name != found.missing.end();
        if (named) found.missing.erase(name);
        const bool chosen = discovered.contains(link.index) && link.hardware != ARPHRD_LOOPBACK;
        if (named || chosen) found.present.push_back(std::move(link));
    }
    return found;
}

std::uint32_t Interfaces::groups() const {
    std::uint32_t groups = RTMGRP_LINK;
    if (discover_) groups |= RTMGRP_IPV6_IFADDR;
    if (by_default_route()) groups |= RTMGRP_IPV6_ROUTE;
    return groups;
}

std::string Interfaces::describe() const {
    if (by_default_route()) return "every interface that an IPv6 default route leads to";
    std::string text;
    for (const std::string& name : names_) text += (text.empty() ? "" : ", ") + name;
    if (discover_) text += std::string(text.empty() ? "" : " and ") + "every interface with a public IPv6 address";
    return text;
}

}  // namespace flowd::marker
