// SPDX-License-Identifier: Apache-2.0
// lib/net/tcp_info.hpp: the one place that reads the kernel's struct tcp_info. Pure functions.
// Source: include/uapi/linux/tcp.h. The struct grows at its end, so its length tells which members it has;
// the members below are those of Linux 6.12, whatever headers this was compiled with.
#pragma once

#include <cstdint>
#include <optional>

#include "flowd/abi/event.h"

namespace flowd::net {

/// Position of a member. `bits` 0: whole bytes; otherwise a bit field of so many bits from `shift` on (little-endian).
struct TcpMember {
    std::uint16_t offset;
    std::uint8_t size;
    std::uint8_t shift = 0;
    std::uint8_t bits = 0;
};

/// Named as in the kernel, without tcpi_. Times are microseconds, except last_*, which are milliseconds; rates
/// are bytes per second.
namespace tcp {
inline constexpr TcpMember state{0, 1}, ca_state{1, 1}, retransmits{2, 1}, probes{3, 1}, backoff{4, 1}, options{5, 1};
inline constexpr TcpMember snd_wscale{6, 1, 0, 4}, rcv_wscale{6, 1, 4, 4};
inline constexpr TcpMember delivery_rate_app_limited{7, 1, 0, 1}, fastopen_client_fail{7, 1, 1, 2};
inline constexpr TcpMember rto{8, 4}, ato{12, 4}, snd_mss{16, 4}, rcv_mss{20, 4};
inline constexpr TcpMember unacked{24, 4}, sacked{28, 4}, lost{32, 4}, retrans{36, 4}, fackets{40, 4};
inline constexpr TcpMember last_data_sent{44, 4}, last_ack_sent{48, 4}, last_data_recv{52, 4}, last_ack_recv{56, 4};
inline constexpr TcpMember pmtu{60, 4}, rcv_ssthresh{64, 4}, rtt{68, 4}, rttvar{72, 4}, snd_ssthresh{76, 4};
inline constexpr TcpMember snd_cwnd{80, 4}, advmss{84, 4}, reordering{88, 4}, rcv_rtt{92, 4}, rcv_space{96, 4};
inline constexpr TcpMember total_retrans{100, 4}, pacing_rate{104, 8}, max_pacing_rate{112, 8};
inline constexpr TcpMember bytes_acked{120, 8}, bytes_received{128, 8}, segs_out{136, 4}, segs_in{140, 4};
inline constexpr TcpMember notsent_bytes{144, 4}, min_rtt{148, 4}, data_segs_in{152, 4}, data_segs_out{156, 4};
inline constexpr TcpMember delivery_rate{160, 8}, busy_time{168, 8}, rwnd_limited{176, 8}, sndbuf_limited{184, 8};
inline constexpr TcpMember delivered{192, 4}, delivered_ce{196, 4}, bytes_sent{200, 8}, bytes_retrans{208, 8};
inline constexpr TcpMember dsack_dups{216, 4}, reord_seen{220, 4}, rcv_ooopack{224, 4}, snd_wnd{228, 4};
inline constexpr TcpMember rcv_wnd{232, 4}, rehash{236, 4};                                          // Linux 6.2
inline constexpr TcpMember total_rto{240, 2}, total_rto_recoveries{242, 2}, total_rto_time{244, 4};  // Linux 6.7
}  // namespace tcp

/// Nothing if the bytes end before the member.
[[nodiscard]] std::optional<std::uint64_t> tcp_value(flowd_bytes tcp_info, TcpMember member);

/// Smoothed round trip time in microseconds (tcpi_rtt). Nothing when the bytes are too short, or before the first sample.
[[nodiscard]] std::optional<std::uint32_t> rtt_us(flowd_bytes tcp_info);

/// A lower bound of the connection's age in milliseconds: the time since its last data or acknowledgement, or, without
/// these, since it was established. For an end that never sent, such as a server's, the value may exceed the age: limit it
/// by other information.
[[nodiscard]] std::uint32_t tcp_quiet_ms(flowd_bytes tcp_info);

/// The usage of the connection so far: payload acknowledged by the peer and payload received, and segments. The kernel
/// counts SYN and FIN as a byte each where they have a sequence number; here they do not count. In state CLOSE the
/// struct does not show whether the peer's FIN was received: `fin_received` is what the caller knows, false if unknown.
/// Nothing if the kernel's struct lacks the counters (before 4.19).
[[nodiscard]] std::optional<flowd_usage> tcp_usage(flowd_bytes tcp_info, bool fin_received = false);

}  // namespace flowd::net
