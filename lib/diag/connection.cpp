// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/connection.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace flowd::diag {
namespace {

Address address_of(std::uint8_t family, const __be32 (&words)[4]) {
    if (family == AF_INET) {
        in_addr v4{};
        std::memcpy(&v4, &words[0], sizeof v4);
        return Address(v4);
    }
    in6_addr v6{};  // of a mapped connection it is the mapped form, which Address knows as IPv4
    std::memcpy(&v6, &words[0], sizeof v6);
    return Address(v6);
}

template <typename T>
void read_number(std::span<const std::byte> bytes, T& out) {
    if (bytes.size() >= sizeof out) std::memcpy(&out, bytes.data(), sizeof out);
}

std::string_view text_of(std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return text.substr(0, text.find('\0'));
}

void take_attribute(unsigned type, std::span<const std::byte> bytes, Connection& out) {
    switch (type) {
        case INET_DIAG_INFO:
            out.tcp_info = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
            break;
        case INET_DIAG_CONG:
            out.congestion = text_of(bytes);
            break;
        case INET_DIAG_PROTOCOL:
            read_number(bytes, out.protocol);
            break;
        case INET_DIAG_CGROUP_ID:
            read_number(bytes, out.cgroup);
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

    Connection out;
    out.local = {address_of(message.idiag_family, message.id.idiag_src), ntohs(message.id.idiag_sport)};
    out.remote = {address_of(message.idiag_family, message.id.idiag_dst), ntohs(message.id.idiag_dport)};
    out.protocol = protocol;
    out.state = message.idiag_state;
    out.cookie = static_cast<std::uint64_t>(message.id.idiag_cookie[1]) << 32 | message.id.idiag_cookie[0];
    out.user = message.idiag_uid;
    out.interface = message.id.idiag_if;
    out.unread = message.idiag_rqueue;

    for (auto rest = payload.subspan(NLMSG_ALIGN(sizeof message)); rest.size() >= NLA_HDRLEN;) {
        nlattr attribute{};
        std::memcpy(&attribute, rest.data(), sizeof attribute);
        if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > rest.size()) return std::nullopt;
        take_attribute(attribute.nla_type & NLA_TYPE_MASK, rest.subspan(NLA_HDRLEN, attribute.nla_len - NLA_HDRLEN), out);
        rest = rest.subspan(std::min<std::size_t>(NLA_ALIGN(attribute.nla_len), rest.size()));
    }
    return out;
}

}  // namespace flowd::diag
