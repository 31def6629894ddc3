// SPDX-License-Identifier: Apache-2.0
#include "lib/net/tcp_info.hpp"

#include <linux/tcp.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace flowd::net {
namespace {

// The offsets agree with the headers' members, as far as the headers have them.
static_assert(tcp::rto.offset == offsetof(struct ::tcp_info, tcpi_rto));
static_assert(tcp::rtt.offset == offsetof(struct ::tcp_info, tcpi_rtt));
static_assert(tcp::total_retrans.offset == offsetof(struct ::tcp_info, tcpi_total_retrans));
static_assert(tcp::bytes_acked.offset == offsetof(struct ::tcp_info, tcpi_bytes_acked));
static_assert(tcp::min_rtt.offset == offsetof(struct ::tcp_info, tcpi_min_rtt));
static_assert(tcp::sndbuf_limited.offset == offsetof(struct ::tcp_info, tcpi_sndbuf_limited));
static_assert(tcp::bytes_sent.offset == offsetof(struct ::tcp_info, tcpi_bytes_sent));
static_assert(tcp::snd_wnd.offset == offsetof(struct ::tcp_info, tcpi_snd_wnd));

template <typename T>
[[nodiscard]] std::uint64_t number_at(const std::uint8_t* bytes) {
    T number = 0;
    std::memcpy(&number, bytes, sizeof number);
    return number;
}

}  // namespace

std::optional<std::uint64_t> tcp_value(flowd_bytes tcp_info, TcpMember member) {
    if (tcp_info.data == nullptr || tcp_info.length < std::size_t{member.offset} + member.size) return std::nullopt;
    const std::uint8_t* at = tcp_info.data + member.offset;
    switch (member.size) {
        case 1: {
            const auto whole = number_at<std::uint8_t>(at);
            return member.bits == 0 ? whole : whole >> member.shift & ((1u << member.bits) - 1);
        }
        case 2:
            return number_at<std::uint16_t>(at);
        case 4:
            return number_at<std::uint32_t>(at);
        case 8:
            return number_at<std::uint64_t>(at);
        default:
            return std::nullopt;
    }
}

std::optional<std::uint32_t> rtt_us(flowd_bytes tcp_info) {
    const auto rtt = tcp_value(tcp_info, tcp::rtt);
    if (!rtt || *rtt == 0) return std::nullopt;
    return static_cast<std::uint32_t>(*rtt);
}

std::uint32_t tcp_quiet_ms(flowd_bytes tcp_info) {
    std::uint64_t quiet = 0;
    for (const TcpMember member : {tcp::last_data_sent, tcp::last_data_recv, tcp::last_ack_recv})
        quiet = std::max(quiet, tcp_value(tcp_info, member).value_or(0));
    return static_cast<std::uint32_t>(quiet);
}

std::optional<flowd_usage> tcp_usage(flowd_bytes tcp_info, bool fin_received) {
    constexpr TcpMember last = tcp::bytes_retrans;
    if (tcp_info.data == nullptr || tcp_info.length < std::size_t{last.offset} + last.size) return std::nullopt;
    // Once for all members, because it is done for each sample.
    const auto word = [&](TcpMember member) { return number_at<std::uint32_t>(tcp_info.data + member.offset); };
    const auto of = [&](TcpMember member) { return number_at<std::uint64_t>(tcp_info.data + member.offset); };
    // include/net/tcp_states.h: only the peer's FIN leads to CLOSE_WAIT, LAST_ACK and CLOSING.
    const std::uint64_t state = tcp_info.data[tcp::state.offset];
    const bool fin = fin_received || state == 8 || state == 9 || state == 11;
    const std::uint64_t received = of(tcp::bytes_received);
    const std::uint64_t sent = of(tcp::bytes_sent);
    flowd_usage usage{};
    usage.bytes_sent = std::min(of(tcp::bytes_acked), sent - std::min(of(tcp::bytes_retrans), sent));
    usage.bytes_received = received - (fin && received > 0 ? 1 : 0);
    usage.packets_sent = word(tcp::segs_out);
    usage.packets_received = word(tcp::segs_in);
    return usage;
}

}  // namespace flowd::net
