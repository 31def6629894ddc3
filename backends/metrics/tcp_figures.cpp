// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/tcp_figures.hpp"

#include <array>

namespace flowd::metrics {
namespace {

namespace tcp = net::tcp;

constexpr std::array<TcpFigure, 32> figures{{
    {"flow_tcp_retrans", "Segments that are being retransmitted.", tcp::retrans},
    {"flow_tcp_rto", "Retransmission timeout in microseconds.", tcp::rto},
    {"flow_tcp_ato", "Timeout of delayed acknowledgements in microseconds.", tcp::ato},
    {"flow_tcp_rtt", "Smoothed round trip time in microseconds.", tcp::rtt},
    {"flow_tcp_rtt_var", "Variation of the round trip time in microseconds.", tcp::rttvar},
    {"flow_tcp_minrtt", "Shortest round trip time in microseconds.", tcp::min_rtt},
    {"flow_tcp_pmtu", "Path MTU in bytes.", tcp::pmtu},
    {"flow_tcp_mss", "Maximum segment size for sending in bytes.", tcp::snd_mss},
    {"flow_tcp_rcvmss", "Maximum segment size of received segments in bytes.", tcp::rcv_mss},
    {"flow_tcp_advmss", "Maximum segment size announced to the peer in bytes.", tcp::advmss},
    {"flow_tcp_cwnd", "Congestion window in segments.", tcp::snd_cwnd},
    {"flow_tcp_ssthresh", "Slow start threshold in segments.", tcp::snd_ssthresh},
    {"flow_tcp_bytes_sent_total", "Payload bytes sent, including retransmissions.", tcp::bytes_sent},
    {"flow_tcp_bytes_acked_total", "Bytes that the peer acknowledged.", tcp::bytes_acked},
    {"flow_tcp_bytes_received_total", "Bytes received.", tcp::bytes_received},
    {"flow_tcp_segs_out_total", "Segments sent.", tcp::segs_out},
    {"flow_tcp_segs_in_total", "Segments received.", tcp::segs_in},
    {"flow_tcp_data_segs_out_total", "Segments with data sent.", tcp::data_segs_out},
    {"flow_tcp_data_segs_in_total", "Segments with data received.", tcp::data_segs_in},
    {"flow_tcp_lastsnd", "Milliseconds since data was sent.", tcp::last_data_sent},
    {"flow_tcp_lastrcv", "Milliseconds since data was received.", tcp::last_data_recv},
    {"flow_tcp_lastack", "Milliseconds since an acknowledgement was received.", tcp::last_ack_recv},
    {"flow_tcp_pacing_rate", "Pacing rate in bytes per second.", tcp::pacing_rate},
    {"flow_tcp_delivery_rate", "Latest delivery rate in bytes per second.", tcp::delivery_rate},
    {"flow_tcp_delivered", "Segments delivered, including retransmissions.", tcp::delivered},
    {"flow_tcp_busy", "Microseconds with unacknowledged data.", tcp::busy_time},
    {"flow_tcp_rwnd_limited", "Microseconds limited by the receiver's window.", tcp::rwnd_limited},
    {"flow_tcp_rcv_space", "Target of the receive buffer space in bytes.", tcp::rcv_space},
    {"flow_tcp_rcv_ssthresh", "Clamp of the receive window in bytes.", tcp::rcv_ssthresh},
    {"flow_tcp_rcv_snd_wnd", "Window announced by the peer, scaled, in bytes.", tcp::snd_wnd},
    {"flow_tcp_segs_retrans_total", "Segments retransmitted since the start.", tcp::total_retrans},
    {"flow_tcp_sndbuf_limited", "Microseconds limited by the send buffer.", tcp::sndbuf_limited},
}};

}  // namespace

std::span<const TcpFigure> tcp_figures() {
    return figures;
}

}  // namespace flowd::metrics
