/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The members of the kernel's socket structs that programs here read, by name (CO-RE): relocated to the layout of the
 * kernel into which the program is loaded. Sources: include/net/sock.h, include/linux/tcp.h, include/linux/cgroup-defs.h.
 */
#ifndef FLOWD_BPF_LIB_KERNEL_SOCKET_H
#define FLOWD_BPF_LIB_KERNEL_SOCKET_H

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
    unsigned int inum;
};
struct net {
    struct ns_common ns;
};
typedef struct {
    struct net* net;
} possible_net_t;
struct kernfs_node {
    __u64 id;
};
struct cgroup_subsys_state {
    struct cgroup_subsys_state* parent;
};
struct cgroup {
    struct cgroup_subsys_state self;
    struct kernfs_node* kn;
};
struct sock_cgroup_data {
    struct cgroup* cgroup;
};
typedef struct {
    __u32 val;
} kuid_t;
struct in6_addr {
    union {
        __u32 u6_addr32[4];
    } in6_u;
};
struct sock_common {
    __be32 skc_daddr;
    __be32 skc_rcv_saddr;
    __be16 skc_dport;
    __u16 skc_num;
    unsigned short skc_family;
    volatile unsigned char skc_state;
    int skc_bound_dev_if;
    unsigned long skc_flags;
    struct in6_addr skc_v6_daddr;
    struct in6_addr skc_v6_rcv_saddr;
    possible_net_t skc_net;
};
struct sock {
    struct sock_common __sk_common;
    struct sock_cgroup_data sk_cgrp_data;
    kuid_t sk_uid;
    unsigned long sk_pacing_rate;
    unsigned long sk_max_pacing_rate;
};
struct tcp_congestion_ops {
    char name[16];
};
struct inet_connection_sock {
    const struct tcp_congestion_ops* icsk_ca_ops;
    __u32 icsk_pmtu_cookie;
    struct {
        __u16 rcv_mss;
    } icsk_ack;
};
struct minmax_sample {
    __u32 v;
};
struct minmax {
    struct minmax_sample s[3];
};
struct tcp_sock {
    struct inet_connection_sock inet_conn;
    __u64 bytes_received, bytes_acked, bytes_sent, bytes_retrans;
    __u32 mss_cache, packets_out, sacked_out, lost_out, retrans_out, rcv_ssthresh, srtt_us, mdev_us, snd_ssthresh, snd_cwnd;
    __u32 reordering, total_retrans, segs_out, segs_in, data_segs_in, data_segs_out, delivered, delivered_ce, dsack_dups;
    __u32 reord_seen, rcv_ooopack, snd_wnd, write_seq, snd_nxt;
    __u16 advmss;
    struct minmax rtt_min;
    struct {
        __u32 rtt_us;
    } rcv_rtt_est;
    struct {
        __u32 space;
    } rcvq_space;
};
struct task_struct {
    int tgid;
};
struct seq_file;
struct bpf_iter_meta {
    struct seq_file* seq;
};
struct bpf_iter__tcp {
    struct bpf_iter_meta* meta;
    struct sock_common* sk_common;
};

#pragma clang attribute pop

enum sock_flags { SOCK_DEAD, SOCK_DONE };

/* Only tcp_fin in net/ipv4/tcp_input.c sets it. */
static __always_inline int socket_has_fin(const struct sock* socket) {
    return (socket->__sk_common.skc_flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE)) & 1;
}

static __always_inline __u64 socket_network_namespace(const struct sock* socket) {
    return socket->__sk_common.skc_net.net->ns.inum;
}

static __always_inline const struct cgroup* socket_cgroup(const struct sock* socket) {
    if (!bpf_core_field_exists(((struct sock_cgroup_data*)0)->cgroup)) return 0;
    return socket->sk_cgrp_data.cgroup;
}

#define AF_INET 2
#define AF_INET6 10

/* Both addresses as 16 bytes in network order (IPv4 as ::ffff:a.b.c.d, whatever the socket's family). */
static __always_inline void socket_addresses(const struct sock* socket, __u32 local[4], __u32 remote[4]) {
    const struct sock_common* common = &socket->__sk_common;
    if (common->skc_family == AF_INET) {
        local[0] = local[1] = remote[0] = remote[1] = 0;
        local[2] = remote[2] = bpf_htonl(0xffff);
        local[3] = common->skc_rcv_saddr;
        remote[3] = common->skc_daddr;
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        local[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
        remote[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
    }
}

static __always_inline __u64 cgroup_id(const struct cgroup* group) {
    return group ? BPF_CORE_READ(group, kn, id) : 0;
}

#define CGROUP_MAX_DEPTH 16

/* The parent of a control group, or null. */
static __always_inline const struct cgroup* cgroup_parent(const struct cgroup* group) {
    const struct cgroup_subsys_state* parent = BPF_CORE_READ(group, self.parent);
    return parent ? (const void*)parent - bpf_core_field_offset(struct cgroup, self) : 0;
}

/* Whether `group` is the group with this id or a descendant of it. */
static __always_inline int cgroup_is_below(const struct cgroup* group, __u64 id) {
    for (int depth = 0; depth < CGROUP_MAX_DEPTH && group; ++depth) {
        if (cgroup_id(group) == id) return 1;
        group = cgroup_parent(group);
    }
    return 0;
}

#endif
