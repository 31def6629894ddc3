/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Types that the skops enricher's BPF programs and its C++ side share. Both include this file. */
#ifndef FLOWD_BPF_SKOPS_TYPES_H
#define FLOWD_BPF_SKOPS_TYPES_H

#include <linux/tcp.h>
#include <linux/types.h>

#define SKOPS_ITERATOR_PROGRAM "flowd_skops_poll"
#define SKOPS_SOCKOPS_PROGRAM "flowd_skops_transition"
#define SKOPS_SETTINGS_MAP "skops_settings"
#define SKOPS_EVENTS_MAP "skops_events"
#define SKOPS_LOST_MAP "skops_lost"

/* The only value of skops_settings. */
struct skops_settings {
    __u64 network_namespace; /* inode number; sockets of others are not reported */
    __u64 cgroup;            /* id: only sockets of that group and its descendants; 0: all */
};

/* One socket at one moment: what the iterator writes, and an entry of the ring buffer. */
struct skops_record {
    __u64 cookie;
    __u64 time_ns; /* CLOCK_MONOTONIC */
    __u8 local[16];
    __u8 remote[16]; /* network order, IPv4 as ::ffff:a.b.c.d */
    __u16 local_port;
    __u16 remote_port; /* host order */
    __u8 state;        /* include/net/tcp_states.h */
    __u8 fin_received;
    __u8 reserved[2];
    char congestion[16];
    struct tcp_info info; /* times that are kept in jiffies are 0 */
};

#endif
