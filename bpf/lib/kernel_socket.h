/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few members of the kernel's own socket structs that programs here read, by name (CO-RE): the layout is that of the
 * kernel the program is loaded into. Sources: include/net/sock.h, include/linux/tcp.h, include/linux/cgroup-defs.h.
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
};
struct tcp_sock {
    __u64 bytes_received;
    __u64 bytes_acked;
    __u64 bytes_sent;
    __u64 bytes_retrans;
};
struct task_struct {
    int tgid;
};

#pragma clang attribute pop

enum sock_flags { SOCK_DEAD, SOCK_DONE };

/* tcp_fin in net/ipv4/tcp_input.c sets it, and nothing else. */
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

/* The ends in the 16-byte form, network order (IPv4 as ::ffff:a.b.c.d, however the socket speaks it). */
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

#endif
