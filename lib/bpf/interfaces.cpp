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

/// Whether one of `chosen` is stacked on `link`.
bool carries(const Link& link, const std::set<int>& chosen, const std::vector<Link>& all) {
    std::set<int> seen{link.index};
    std::vector<int> above{link.index};
    while (!above.empty()) {
        const int index = above.back();
        above.pop_back();
        for (const Link& other : all) {
            const bool is_above = other.lower == index || std::any_of(all.begin(), all.end(), [&](const Link& port) {
                                      return port.index == index && port.master == other.index;
                                  });
            if (!is_above || !seen.insert(other.index).second) continue;
            if (chosen.contains(other.index)) return true;
            above.push_back(other.index);
        }
    }
    return false;
}

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
    std::set<int> chosen;
    for (const Link& link : links) chosen.insert(link.index);
    std::vector<Link> found;
    std::copy_if(links.begin(), links.end(), std::back_inserter(found),
                 [&](const Link& link) { return !carries(link, chosen, all); });
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
