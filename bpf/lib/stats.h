/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts the outcome of each packet, per CPU and interface. */
#ifndef FLOWD_BPF_LIB_STATS_H
#define FLOWD_BPF_LIB_STATS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/marker_types.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MARKER_COUNTED_INTERFACES);
    __type(key, __u32);
    __type(value, struct marker_counts);
} marker_counts SEC(".maps");

static __always_inline void marker_count(struct __sk_buff* skb, __u32 outcome) {
    const __u32 slot = skb->ifindex & (MARKER_COUNTED_INTERFACES - 1);
    struct marker_counts* counts = bpf_map_lookup_elem(&marker_counts, &slot);
    if (counts) ++counts->packets[outcome & (MARKER_OUTCOMES_ROOM - 1)];
}

#endif
