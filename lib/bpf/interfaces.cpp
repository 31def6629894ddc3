// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/interfaces.hpp"

#include <fnmatch.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "lib/netlink/interface.hpp"
#include "lib/netlink/routes.hpp"

namespace flowd::bpf {
namespace {

bool is_pattern(const std::string& name) {
    return name.find_first_of("*?[") != std::string::npos;
}

/// The interface that has a name of the configuration, also as an alternative name; 0: a pattern, or there is none.
int index_of(const std::string& name) {
    return is_pattern(name) ? 0 : static_cast<int>(nl::interface_index(name));
}

bool matches(const std::string& name, int index, const Link& link) {
    return is_pattern(name) ? ::fnmatch(name.c_str(), link.name.c_str(), 0) == 0 : name == link.name || index == link.index;
}

}  // namespace

std::vector<Link> uppermost(const std::vector<Link>& links, const std::vector<Link>& all) {
    std::multimap<int, int> lower;  // by index, those on which an interface is stacked directly
    for (const Link& link : all) {
        if (link.lower != 0) lower.emplace(link.index, link.lower);
        if (link.master != 0) lower.emplace(link.master, link.index);
    }
    std::set<int> carrying;
    for (const Link& link : links) {
        std::set<int> seen{link.index};
        for (std::vector<int> next{link.index}; !next.empty();) {
            const auto [first, last] = lower.equal_range(next.back());
            next.pop_back();
            for (auto each = first; each != last; ++each)
                if (seen.insert(each->second).second) next.push_back(each->second);
        }
        seen.erase(link.index);
        carrying.merge(seen);
    }
    std::vector<Link> found;
    std::copy_if(links.begin(), links.end(), std::back_inserter(found),
                 [&](const Link& link) { return !carrying.contains(link.index); });
    return found;
}

Result<Interfaces::Found> Interfaces::find() const {
    auto links = bpf::links();
    if (!links) return std::move(links).error();
    std::map<int, std::string> discovered;
    if (choice_.public_addresses) {
        auto addressed = public_address_links();
        if (!addressed) return std::move(addressed).error();
        for (const int index : *addressed) discovered[index] = "public IPv6 address";
    } else if (by_default_route()) {
        auto routes = nl::default_routes(choice_.routes == RouteFamily::ipv6 ? AF_INET6 : AF_UNSPEC);
        if (!routes) return std::move(routes).error();
        // Of several routes to an interface, one of the main table.
        std::stable_partition(routes->begin(), routes->end(), [](const auto& route) { return route.is_in_main_table(); });
        for (const nl::DefaultRoute& route : *routes) discovered.try_emplace(route.interface, route.describe());
    }
    Found found;
    std::map<std::string, int> indexes;
    for (const std::string& name : choice_.names) {
        indexes[name] = index_of(name);
        if (!is_pattern(name)) found.missing.push_back(name);
    }
    for (Link& link : *links) {
        std::string why;
        for (const auto& [name, index] : indexes) {
            if (!matches(name, index, link)) continue;
            if (why.empty()) why = is_pattern(name) || name == link.name ? "configured" : "configured as " + name;
            std::erase(found.missing, name);
        }
        const auto chosen = discovered.find(link.index);
        if (why.empty() && chosen != discovered.end() && link.hardware != ARPHRD_LOOPBACK) why = chosen->second;
        if (why.empty()) continue;
        found.why[link.index] = std::move(why);
        found.present.push_back(std::move(link));
    }
    return found;
}

std::uint32_t Interfaces::groups() const {
    std::uint32_t groups = RTMGRP_LINK;
    if (choice_.public_addresses) groups |= RTMGRP_IPV6_IFADDR;
    if (!by_default_route()) return groups;
    groups |= RTMGRP_IPV6_ROUTE | nl::group_bit(RTNLGRP_IPV6_RULE);
    if (choice_.routes == RouteFamily::both) groups |= RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE;
    return groups;
}

std::string Interfaces::describe() const {
    if (by_default_route())
        return std::string("every interface that ") + (choice_.routes == RouteFamily::both ? "a" : "an IPv6") +
               " default route leads to";
    std::string text;
    for (const std::string& name : choice_.names) text += (text.empty() ? "" : ", ") + name;
    if (choice_.public_addresses)
        text += std::string(text.empty() ? "" : " and ") + "every interface with a public IPv6 address";
    return text;
}

void Interfaces::validate(const std::vector<std::string>& names, const std::string& option, Problems& problems) {
    std::set<std::string> seen;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const std::string& name = names[i];
        const std::string path = option + "[" + std::to_string(i) + "]";
        if (auto problem = nl::check_interface_name(name)) {
            problem->option = path;
            problems.add(*problem);
        } else if (!seen.insert(name).second)
            problems.add({path, "the interface is listed twice", "remove one of them", name});
    }
}

}  // namespace flowd::bpf
