// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/rtnetlink.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "lib/bpf/error.hpp"
#include "lib/net/netlink_dump.hpp"

namespace flowd::bpf {
namespace {

template <typename T>
const T& payload(const nlmsghdr& message) {
    return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(&message) + NLMSG_HDRLEN);
}

template <typename T>
void attributes(const nlmsghdr& message, const std::function<void(const rtattr&)>& each) {
    const std::size_t before = NLMSG_SPACE(sizeof(T));
    if (message.nlmsg_len < before) return;
    for_each_attribute(reinterpret_cast<const char*>(&message) + before, message.nlmsg_len - before, each);
}

void add_next_hops(const rtattr& multipath, std::set<int>& found) {
    auto* hop = static_cast<const rtnexthop*>(RTA_DATA(&multipath));
    for (auto left = static_cast<int>(RTA_PAYLOAD(&multipath)); RTNH_OK(hop, left);) {
        found.insert(hop->rtnh_ifindex);
        left -= NLMSG_ALIGN(hop->rtnh_len);
        hop = RTNH_NEXT(hop);
    }
}

/// Whether an interface of this kind sends what it is given through the one it names (IFLA_LINK). For a veth that is its
/// peer, for a tunnel where it was made.
bool is_stacked(const rtattr& link_info) {
    bool stacked = false;
    for_each_attribute(RTA_DATA(&link_info), RTA_PAYLOAD(&link_info), [&stacked](const rtattr& attribute) {
        if (attribute.rta_type != IFLA_INFO_KIND) return;
        const std::string kind = text_of(attribute);
        stacked = kind == "vlan" || kind == "macvlan" || kind == "ipvlan" || kind == "macsec";
    });
    return stacked;
}

/// Lets the kernel drop what is said of other routes than default ones: a router changes thousands of them at a time.
/// Classic BPF (Documentation/networking/filter.rst) reads numbers in network order, netlink has them in the host's.
Result<void> only_default_routes(int fd) {
    constexpr std::uint32_t type = offsetof(nlmsghdr, nlmsg_type);
    constexpr std::uint32_t prefix_length = NLMSG_HDRLEN + offsetof(rtmsg, rtm_dst_len);
    std::array<sock_filter, 7> code{{
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, prefix_length),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    }};
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        return system_error(errno, "filtering route changes");
    return {};
}

}  // namespace

Result<Netlink> Netlink::open(std::uint32_t groups) {
    const int type = SOCK_RAW | SOCK_CLOEXEC | (groups != 0 ? SOCK_NONBLOCK : 0);
    UniqueFd fd(::socket(AF_NETLINK, type, NETLINK_ROUTE));
    if (!fd) return system_error(errno, "opening a netlink socket");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = groups;
    // Before anything can come.
    if ((groups & (RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)) != 0)
        if (auto done = only_default_routes(fd.get()); !done) return std::move(done).error();
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return system_error(errno, "binding a netlink socket");
    net::limit_waiting(fd.get());
    return Netlink(std::move(fd));
}

Result<void> Netlink::dump(std::uint16_t type, const void* body, std::size_t size,
                           const std::function<void(const nlmsghdr&)>& each, const std::function<void()>& restart) {
    alignas(nlmsghdr) std::array<char, 256> request{};
    auto& header = *reinterpret_cast<nlmsghdr*>(request.data());
    header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(size));
    header.nlmsg_type = type;
    header.nlmsg_seq = sequence_;
    std::memcpy(request.data() + NLMSG_HDRLEN, body, size);
    auto done = net::netlink_dump(
        fd_.get(), header, [&each](const nlmsghdr& message, const std::byte*, std::size_t) { each(message); }, restart);
    sequence_ = header.nlmsg_seq;
    return done;
}

bool Netlink::receive(const std::function<void(const nlmsghdr&)>& each) {
    alignas(nlmsghdr) std::array<char, 65536> buffer;
    bool complete = true;
    for (;;) {
        const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == ENOBUFS) {
            complete = false;
            continue;
        }
        if (got <= 0) return complete;
        auto left = static_cast<unsigned>(got);
        for (auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
             message = NLMSG_NEXT(message, left))
            each(*message);
    }
}

bool Netlink::drain() {
    std::array<char, 65536> buffer;
    bool any = false;
    for (;;) {
        const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == ENOBUFS) {
            any = true;
            continue;
        }
        if (got <= 0) return any;
        any = true;
    }
}

void for_each_attribute(const void* first, std::size_t length, const std::function<void(const rtattr&)>& each) {
    auto left = static_cast<unsigned>(length);
    for (auto* attribute = static_cast<const rtattr*>(first); RTA_OK(attribute, left);
         attribute = RTA_NEXT(attribute, left))
        each(*attribute);
}

std::string text_of(const rtattr& attribute) {
    const auto* const text = static_cast<const char*>(RTA_DATA(&attribute));
    return {text, ::strnlen(text, RTA_PAYLOAD(&attribute))};
}

std::uint32_t number_of(const rtattr& attribute) {
    std::uint32_t number = 0;
    if (RTA_PAYLOAD(&attribute) >= sizeof number) std::memcpy(&number, RTA_DATA(&attribute), sizeof number);
    return number;
}

Result<std::vector<Link>> links() {
    auto netlink = Netlink::open();
    if (!netlink) return std::move(netlink).error();
    std::vector<Link> found;
    const ifinfomsg body{};
    auto done = netlink->dump(
        RTM_GETLINK, &body, sizeof body,
        [&found](const nlmsghdr& message) {
            if (message.nlmsg_type != RTM_NEWLINK) return;
            Link link;
            link.index = payload<ifinfomsg>(message).ifi_index;
            link.hardware = payload<ifinfomsg>(message).ifi_type;
            int peer = 0;
            bool stands_on_peer = false;
            attributes<ifinfomsg>(message, [&](const rtattr& attribute) {
                if (attribute.rta_type == IFLA_IFNAME) link.name = text_of(attribute);
                if (attribute.rta_type == IFLA_MASTER) link.master = static_cast<int>(number_of(attribute));
                if (attribute.rta_type == IFLA_LINK) peer = static_cast<int>(number_of(attribute));
                if (attribute.rta_type == IFLA_LINKINFO) stands_on_peer = is_stacked(attribute);
            });
            if (stands_on_peer) link.lower = peer;
            found.push_back(std::move(link));
        },
        [&found] { found.clear(); });
    if (!done) return std::move(done).error().within("listing interfaces");
    return found;
}

Result<std::set<int>> default_route_links(RouteFamily family) {
    auto netlink = Netlink::open();
    if (!netlink) return std::move(netlink).error();
    std::set<int> found;
    rtmsg body{};
    body.rtm_family = family == RouteFamily::ipv6 ? AF_INET6 : AF_UNSPEC;
    auto done = netlink->dump(
        RTM_GETROUTE, &body, sizeof body,
        [&found, family](const nlmsghdr& message) {
            const auto& route = payload<rtmsg>(message);
            if (message.nlmsg_type != RTM_NEWROUTE || route.rtm_dst_len != 0 || route.rtm_type != RTN_UNICAST) return;
            // A kernel without IPv6 answers with those of IPv4, and multicast routes have families as well.
            const bool counts =
                route.rtm_family == AF_INET6 || (route.rtm_family == AF_INET && family == RouteFamily::both);
            if (!counts) return;
            attributes<rtmsg>(message, [&found](const rtattr& attribute) {
                if (attribute.rta_type == RTA_OIF) found.insert(static_cast<int>(number_of(attribute)));
                if (attribute.rta_type == RTA_MULTIPATH) add_next_hops(attribute, found);
            });
        },
        [&found] { found.clear(); });
    if (!done) return std::move(done).error().within("listing routes");
    return found;
}

Result<std::set<int>> public_address_links() {
    auto netlink = Netlink::open();
    if (!netlink) return std::move(netlink).error();
    std::set<int> found;
    ifaddrmsg body{};
    body.ifa_family = AF_INET6;
    auto done = netlink->dump(
        RTM_GETADDR, &body, sizeof body,
        [&found](const nlmsghdr& message) {
            if (message.nlmsg_type != RTM_NEWADDR) return;
            attributes<ifaddrmsg>(message, [&](const rtattr& attribute) {
                if (attribute.rta_type != IFA_ADDRESS || RTA_PAYLOAD(&attribute) < 16) return;
                const auto first = *static_cast<const std::uint8_t*>(RTA_DATA(&attribute));
                if ((first & 0xe0) == 0x20) found.insert(static_cast<int>(payload<ifaddrmsg>(message).ifa_index));
            });
        },
        [&found] { found.clear(); });
    if (!done) return std::move(done).error().within("listing IPv6 addresses");
    return found;
}

}  // namespace flowd::bpf
