// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/routes.hpp"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "flowd/address.hpp"
#include "lib/netlink/socket.hpp"

namespace flowd::nl {
namespace {

/// Of RTA_GATEWAY, or of RTA_VIA, which has its family in front.
std::string gateway_of(const Attribute& attribute) {
    std::span<const std::byte> bytes = attribute.bytes();
    if (attribute.type() == RTA_VIA) bytes = bytes.subspan(std::min(sizeof(sa_family_t), bytes.size()));
    in_addr v4{};
    in6_addr v6{};
    if (bytes.size() == sizeof v4) {
        std::memcpy(&v4, bytes.data(), sizeof v4);
        return Address(v4).to_string();
    }
    if (bytes.size() != sizeof v6) return {};
    std::memcpy(&v6, bytes.data(), sizeof v6);
    return Address(v6).to_string();
}

bool is_gateway(const Attribute& attribute) {
    return attribute.type() == RTA_GATEWAY || attribute.type() == RTA_VIA;
}

/// A route for each of the next hops of RTA_MULTIPATH.
void add_next_hops(std::span<const std::byte> hops, DefaultRoute route, std::vector<DefaultRoute>& found) {
    rtnexthop hop{};
    while (hops.size() >= sizeof hop) {
        std::memcpy(&hop, hops.data(), sizeof hop);
        if (hop.rtnh_len < sizeof hop || hop.rtnh_len > hops.size()) return;
        route.interface = hop.rtnh_ifindex;
        route.gateway.clear();
        for_each_attribute(hops.subspan(sizeof hop, hop.rtnh_len - sizeof hop), [&](const Attribute& attribute) {
            if (is_gateway(attribute)) route.gateway = gateway_of(attribute);
        });
        found.push_back(route);
        hops = hops.subspan(std::min<std::size_t>(NLMSG_ALIGN(hop.rtnh_len), hops.size()));
    }
}

void add_route(const Message& message, std::vector<DefaultRoute>& found) {
    const auto* const header = message.body<rtmsg>();
    if (message.type() != RTM_NEWROUTE || header == nullptr) return;
    if (header->rtm_dst_len != 0 || header->rtm_type != RTN_UNICAST) return;
    if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) return;  // multicast routes have others
    DefaultRoute route{0, header->rtm_family, header->rtm_table};
    std::span<const std::byte> next_hops;
    message.attributes(sizeof *header, [&](const Attribute& attribute) {
        if (attribute.type() == RTA_TABLE) route.table = attribute.number<std::uint32_t>().value_or(route.table);
        if (attribute.type() == RTA_OIF) route.interface = attribute.number<int>().value_or(0);
        if (attribute.type() == RTA_MULTIPATH) next_hops = attribute.bytes();
        if (is_gateway(attribute)) route.gateway = gateway_of(attribute);
    });
    if (route.interface != 0) found.push_back(route);
    add_next_hops(next_hops, route, found);
}

/// The table of a VRF, to which the rule l3mdev leads (Documentation/networking/vrf.rst).
std::optional<std::uint32_t> vrf_table(const Attribute& link_info) {
    bool is_vrf = false;
    std::optional<std::uint32_t> table;
    for_each_attribute(link_info.bytes(), [&](const Attribute& attribute) {
        if (attribute.type() == IFLA_INFO_KIND) is_vrf = attribute.text() == "vrf";
        if (attribute.type() != IFLA_INFO_DATA || !is_vrf) return;
        for_each_attribute(attribute.bytes(), [&table](const Attribute& option) {
            if (option.type() == IFLA_VRF_TABLE) table = option.number<std::uint32_t>();
        });
    });
    return table;
}

using TableSet = std::set<std::uint32_t>;

Result<TableSet> vrf_tables(Socket& socket) {
    TableSet found;
    auto done = socket.dump(
        RTM_GETLINK, ifinfomsg{},
        [&found](const Message& message) {
            if (message.type() != RTM_NEWLINK) return;
            message.attributes(sizeof(ifinfomsg), [&found](const Attribute& attribute) {
                if (attribute.type() != IFLA_LINKINFO) return;
                if (const auto table = vrf_table(attribute)) found.insert(*table);
            });
        },
        [&found] { found.clear(); });
    if (!done) return std::move(done).error().within("listing interfaces");
    return found;
}

/// The tables whose default routes a rule can choose.
struct Ruled {
    std::map<unsigned, TableSet> tables;  ///< by address family; one without any rule is absent
    bool vrf = false;                     ///< a rule leads to the tables of VRFs

    void add(const Message& message) {
        const auto* const header = message.body<fib_rule_hdr>();
        if (message.type() != RTM_NEWRULE || header == nullptr) return;
        TableSet& of_family = tables[header->family];
        std::uint32_t table = header->table;
        bool leads = header->action == FR_ACT_TO_TBL, is_of_vrf = false;
        message.attributes(sizeof *header, [&](const Attribute& attribute) {
            if (attribute.type() == FRA_TABLE) table = attribute.number<std::uint32_t>().value_or(table);
            if (attribute.type() == FRA_L3MDEV) is_of_vrf = attribute.number<std::uint8_t>().value_or(0) != 0;
            // Such a rule ignores routes whose prefix is not longer.
            if (attribute.type() == FRA_SUPPRESS_PREFIXLEN && attribute.number<std::int32_t>().value_or(-1) >= 0)
                leads = false;
        });
        vrf = vrf || is_of_vrf;
        if (leads && !is_of_vrf) of_family.insert(table);
    }
    [[nodiscard]] bool includes(const DefaultRoute& route) const {
        const auto of_family = tables.find(route.family);
        return of_family == tables.end() || of_family->second.contains(route.table);
    }
};

Result<Ruled> ruled_tables(Socket& socket) {
    Ruled ruled;
    auto done = socket.dump(
        RTM_GETRULE, fib_rule_hdr{}, [&ruled](const Message& message) { ruled.add(message); }, [&ruled] { ruled = {}; });
    if (!done && done.error().code == FLOWD_UNSUPPORTED) return Ruled{};  // a kernel without policy routing
    if (!done) return std::move(done).error().within("listing routing rules");
    if (!ruled.vrf) return ruled;
    auto more = vrf_tables(socket);
    if (!more) return std::move(more).error();
    for (auto& [family, tables] : ruled.tables) tables.insert(more->begin(), more->end());
    return ruled;
}

}  // namespace

bool DefaultRoute::is_in_main_table() const {
    return table == RT_TABLE_MAIN;
}

std::string DefaultRoute::describe() const {
    return std::string(family == AF_INET6 ? "IPv6" : "IPv4") + " default route" +
           (gateway.empty() ? "" : " via " + gateway) + " in " +
           (is_in_main_table() ? "the main table" : "table " + std::to_string(table));
}

Result<std::vector<DefaultRoute>> default_routes(unsigned char family) {
    auto socket = Socket::open(NETLINK_ROUTE);
    if (!socket) return std::move(socket).error().within("listing routes");
    const auto ruled = ruled_tables(*socket);
    if (!ruled) return ruled.error();
    rtmsg request{};
    request.rtm_family = family;
    std::vector<DefaultRoute> found;
    auto done = socket->dump(
        RTM_GETROUTE, request, [&found](const Message& message) { add_route(message, found); },
        [&found] { found.clear(); });
    if (!done) return std::move(done).error().within("listing routes");
    // A kernel without IPv6 answers a request for its routes with those of IPv4.
    std::erase_if(found, [&](const DefaultRoute& route) {
        return (family != AF_UNSPEC && route.family != family) || !ruled->includes(route);
    });
    return found;
}

}  // namespace flowd::nl
