// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/rtnetlink.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "flowd/address.hpp"

namespace flowd::bpf {
namespace {

int index_of(const nl::Attribute& attribute) {
    return attribute.number<int>().value_or(0);
}

/// Whether an interface of this kind sends its packets through the one that IFLA_LINK names. For a veth that is its peer,
/// for a tunnel the device below it.
bool is_stacked(const nl::Attribute& link_info) {
    bool stacked = false;
    nl::for_each_attribute(link_info.bytes(), [&stacked](const nl::Attribute& attribute) {
        if (attribute.type() != IFLA_INFO_KIND) return;
        const std::string_view kind = attribute.text();
        stacked = kind == "vlan" || kind == "macvlan" || kind == "ipvlan" || kind == "macsec";
    });
    return stacked;
}

/// Of routes, passes the default ones only: a router changes thousands of others at a time. Classic BPF
/// (Documentation/networking/filter.rst) reads numbers in network order, netlink has them in the host's.
const std::array<sock_filter, 7>& only_default_routes() {
    constexpr std::uint32_t type = offsetof(nlmsghdr, nlmsg_type);
    constexpr std::uint32_t prefix_length = NLMSG_HDRLEN + offsetof(rtmsg, rtm_dst_len);
    static const std::array<sock_filter, 7> code{{
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, prefix_length),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    }};
    return code;
}

/// rtnetlink(7): a request for the route of one packet. `Size`: of an address, 16 or 4.
template <std::size_t Size>
struct RouteRequest {
    struct Attribute {
        rtattr header{};
        std::array<std::uint8_t, Size> address{};
    };
    rtmsg header{};
    Attribute source, destination;
};

struct Route {
    bool is_local = false;  ///< the destination is an address of this host
    int link = 0;           ///< 0: there is no route
};

/// A refusal (no route, or a source that is not an address of this host) is the answer that there is none.
template <std::size_t Size>
Route route_of(nl::Socket& socket, const Address& source, const Address& destination) {
    RouteRequest<Size> request;
    using Attribute = typename RouteRequest<Size>::Attribute;
    request.header.rtm_family = Size == 16 ? AF_INET6 : AF_INET;
    request.header.rtm_src_len = request.header.rtm_dst_len = Size * 8;
    const auto fill = [](Attribute& attribute, std::uint16_t type, const Address& address) {
        attribute.header = {sizeof(Attribute), type};
        std::copy(address.bytes().end() - Size, address.bytes().end(), attribute.address.begin());
    };
    fill(request.source, RTA_SRC, source);
    fill(request.destination, RTA_DST, destination);
    Route route;
    (void)socket.get(RTM_GETROUTE, request, [&route](const nl::Message& message) {
        const auto* const body = message.body<rtmsg>();
        if (message.type() != RTM_NEWROUTE || body == nullptr) return;
        route.is_local = body->rtm_type == RTN_LOCAL;
        message.attributes(sizeof *body, [&route](const nl::Attribute& attribute) {
            if (attribute.type() == RTA_OIF) route.link = index_of(attribute);
        });
    });
    return route;
}

Route route_of(nl::Socket& socket, const Address& source, const Address& destination) {
    return destination.is_v4() ? route_of<4>(socket, source, destination) : route_of<16>(socket, source, destination);
}

/// The interface over which the packets of a flow leave this host; 0: unknown.
int leaving_link(nl::Socket& socket, const flowd_key& key) {
    const Address source(key.source), destination(key.destination);
    if (source.is_link_local() || destination.is_link_local()) return static_cast<int>(key.zone);
    if (route_of(socket, {}, source).is_local) return route_of(socket, source, destination).link;
    return route_of(socket, {}, destination).is_local ? route_of(socket, destination, source).link : 0;
}

}  // namespace

Result<std::vector<Link>> leaving_links(const flowd_key& key) {
    auto socket = nl::Socket::open(NETLINK_ROUTE);
    if (!socket) return std::move(socket).error().within("asking for a route");
    const int first = leaving_link(*socket, key);
    auto all = links();
    if (!all) return all;
    std::vector<Link> passed;
    const auto pass = [&](const Link& link) {
        const auto is_it = [&](const Link& other) { return other.index == link.index; };
        if (std::none_of(passed.begin(), passed.end(), is_it)) passed.push_back(link);
    };
    for (const Link& link : *all)
        if (link.index == first) pass(link);
    for (std::size_t i = 0; i < passed.size(); ++i)
        for (const Link& link : *all)
            if (link.master == passed[i].index || link.index == passed[i].lower) pass(link);
    return passed;
}

Result<nl::Subscription> subscribe(std::uint32_t groups) {
    nl::SubscriptionOptions options;
    if ((groups & (RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)) != 0) options.filter = only_default_routes();
    return nl::Subscription::open(NETLINK_ROUTE, groups, options);
}

Result<std::vector<Link>> links() {
    return list<std::vector<Link>>("interfaces", RTM_GETLINK, ifinfomsg{},
                                   [](std::vector<Link>& found, const nl::Message& message) {
                                       const auto* const body = message.body<ifinfomsg>();
                                       if (message.type() != RTM_NEWLINK || body == nullptr) return;
                                       Link link;
                                       link.index = body->ifi_index;
                                       link.hardware = body->ifi_type;
                                       int peer = 0;
                                       bool stands_on_peer = false;
                                       message.attributes(sizeof *body, [&](const nl::Attribute& attribute) {
                                           if (attribute.type() == IFLA_IFNAME) link.name = attribute.text();
                                           if (attribute.type() == IFLA_MASTER) link.master = index_of(attribute);
                                           if (attribute.type() == IFLA_LINK) peer = index_of(attribute);
                                           if (attribute.type() == IFLA_LINKINFO) stands_on_peer = is_stacked(attribute);
                                       });
                                       if (stands_on_peer) link.lower = peer;
                                       found.push_back(std::move(link));
                                   });
}

Result<std::map<int, std::uint64_t>> sent_packets() {
    if_stats_msg request{};
    request.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
    using Sent = std::map<int, std::uint64_t>;
    return list<Sent>("counters of interfaces", RTM_GETSTATS, request, [](Sent& found, const nl::Message& message) {
        const auto* const body = message.body<if_stats_msg>();
        if (message.type() != RTM_NEWSTATS || body == nullptr) return;
        message.attributes(sizeof *body, [&](const nl::Attribute& attribute) {
            rtnl_link_stats64 counters{};
            if (attribute.type() != IFLA_STATS_LINK_64) return;
            const std::size_t size = std::min(attribute.bytes().size(), sizeof counters);  // newer kernels have more
            std::memcpy(&counters, attribute.bytes().data(), size);
            found[static_cast<int>(body->ifindex)] = counters.tx_packets;
        });
    });
}

Result<std::set<int>> public_address_links() {
    ifaddrmsg request{};
    request.ifa_family = AF_INET6;
    return list<std::set<int>>("IPv6 addresses", RTM_GETADDR, request,
                               [](std::set<int>& found, const nl::Message& message) {
                                   const auto* const body = message.body<ifaddrmsg>();
                                   if (message.type() != RTM_NEWADDR || body == nullptr) return;
                                   message.attributes(sizeof *body, [&](const nl::Attribute& attribute) {
                                       if (attribute.type() != IFA_ADDRESS || attribute.bytes().size() < 16) return;
                                       if ((attribute.bytes()[0] & std::byte{0xe0}) == std::byte{0x20})
                                           found.insert(static_cast<int>(body->ifa_index));
                                   });
                               });
}

}  // namespace flowd::bpf
