// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/connection.hpp"

#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "lib/netlink/message.hpp"

namespace flowd::diag {
namespace {

Address address_of(std::uint8_t family, const __be32 (&words)[4]) {
    if (family == AF_INET) {
        in_addr v4{};
        std::memcpy(&v4, &words[0], sizeof v4);
        return Address(v4);
    }
    in6_addr v6{};  // Address reads an IPv4-mapped address as IPv4
    std::memcpy(&v6, &words[0], sizeof v6);
    return Address(v6);
}

void take(const nl::Attribute& attribute, Connection& out) {
    switch (attribute.type()) {
        case INET_DIAG_INFO:
            out.tcp_info = {reinterpret_cast<const std::uint8_t*>(attribute.bytes().data()), attribute.bytes().size()};
            break;
        case INET_DIAG_CONG:
            out.congestion = attribute.text();
            break;
        case INET_DIAG_PROTOCOL:
            out.protocol = attribute.number<std::uint8_t>().value_or(out.protocol);
            break;
        case INET_DIAG_CGROUP_ID:
            out.cgroup = attribute.number<std::uint64_t>().value_or(0);
            break;
        default:
            break;
    }
}

}  // namespace

std::optional<Connection> parse(std::span<const std::byte> payload, std::uint8_t protocol) {
    inet_diag_msg message{};
    if (payload.size() < sizeof message) return std::nullopt;
    std::memcpy(&message, payload.data(), sizeof message);
    if (message.idiag_family != AF_INET && message.idiag_family != AF_INET6) return std::nullopt;

    std::optional<Connection> parsed(std::in_place);  // filled in its place: it is copied for no socket
    Connection& out = *parsed;
    out.local = {address_of(message.idiag_family, message.id.idiag_src), ntohs(message.id.idiag_sport)};
    out.remote = {address_of(message.idiag_family, message.id.idiag_dst), ntohs(message.id.idiag_dport)};
    out.protocol = protocol;
    out.state = message.idiag_state;
    out.cookie = static_cast<std::uint64_t>(message.id.idiag_cookie[1]) << 32 | message.id.idiag_cookie[0];
    out.user = message.idiag_uid;
    out.interface = message.id.idiag_if;
    out.unread = message.idiag_rqueue;

    const auto attributes = payload.subspan(NLMSG_ALIGN(sizeof message));
    if (!nl::for_each_attribute(attributes, [&out](const nl::Attribute& attribute) { take(attribute, out); }))
        return std::nullopt;
    return parsed;
}

}  // namespace flowd::diag
