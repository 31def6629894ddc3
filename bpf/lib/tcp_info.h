/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fills the public struct tcp_info from the kernel's own struct, as tcp_get_info in net/ipv4/tcp.c does. Left at 0: members
 * that are kept in jiffies (rto, ato, last_*), because a program cannot know their length, and bit fields.
 */
#ifndef FLOWD_BPF_LIB_TCP_INFO_H
#define FLOWD_BPF_LIB_TCP_INFO_H

#include <linux/tcp.h>

#include "bpf/lib/kernel_socket.h"

static __always_inline void tcp_info_fill(struct tcp_info* info, const struct tcp_sock* tcp, __u8 state) {
    const struct sock* socket = (const struct sock*)tcp;
    info->tcpi_state = state;
    info->tcpi_snd_mss = tcp->mss_cache;
    info->tcpi_rcv_mss = tcp->inet_conn.icsk_ack.rcv_mss;
    info->tcpi_unacked = tcp->packets_out;
    info->tcpi_sacked = tcp->sacked_out;
    info->tcpi_lost = tcp->lost_out;
    info->tcpi_retrans = tcp->retrans_out;
    info->tcpi_pmtu = tcp->inet_conn.icsk_pmtu_cookie;
    info->tcpi_rcv_ssthresh = tcp->rcv_ssthresh;
    info->tcpi_rtt = tcp->srtt_us >> 3;
    info->tcpi_rttvar = tcp->mdev_us >> 2;
    info->tcpi_snd_ssthresh = tcp->snd_ssthresh;
    info->tcpi_snd_cwnd = tcp->snd_cwnd;
    info->tcpi_advmss = tcp->advmss;
    info->tcpi_reordering = tcp->reordering;
    info->tcpi_rcv_rtt = tcp->rcv_rtt_est.rtt_us >> 3;
    info->tcpi_rcv_space = (__u32)tcp->rcvq_space.space;
    info->tcpi_total_retrans = tcp->total_retrans;
    info->tcpi_pacing_rate = socket->sk_pacing_rate;
    info->tcpi_max_pacing_rate = socket->sk_max_pacing_rate;
    info->tcpi_bytes_acked = tcp->bytes_acked;
    info->tcpi_bytes_received = tcp->bytes_received;
    info->tcpi_segs_out = tcp->segs_out;
    info->tcpi_segs_in = tcp->segs_in;
    const __s32 not_sent = (__s32)(tcp->write_seq - tcp->snd_nxt);
    info->tcpi_notsent_bytes = not_sent > 0 ? (__u32)not_sent : 0;
    info->tcpi_min_rtt = tcp->rtt_min.s[0].v;
    info->tcpi_data_segs_in = tcp->data_segs_in;
    info->tcpi_data_segs_out = tcp->data_segs_out;
    info->tcpi_delivered = tcp->delivered;
    info->tcpi_delivered_ce = tcp->delivered_ce;
    info->tcpi_bytes_sent = tcp->bytes_sent;
    info->tcpi_bytes_retrans = tcp->bytes_retrans;
    info->tcpi_dsack_dups = tcp->dsack_dups;
    info->tcpi_reord_seen = tcp->reord_seen;
    info->tcpi_rcv_ooopack = tcp->rcv_ooopack;
    info->tcpi_snd_wnd = tcp->snd_wnd;
}

static __always_inline void tcp_congestion_name(char name[16], const struct tcp_sock* tcp) {
    bpf_probe_read_kernel_str(name, 16, tcp->inet_conn.icsk_ca_ops->name);
}

#endif
