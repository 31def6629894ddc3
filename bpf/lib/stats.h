/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts what became of each packet, per CPU. */
#ifndef FLOWD_BPF_LIB_STATS_H
#define FLOWD_BPF_LIB_STATS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/marker_types.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MARKER_OUTCOMES);
    __type(key, __u32);
    __type(value, __u64);
} marker_outcomes SEC(".maps");

static __always_inline void marker_count(__u32 outcome) {
    __u64* packets = bpf_map_lookup_elem(&marker_outcomes, &outcome);
    if (packets) ++*packets;
}

#endif
