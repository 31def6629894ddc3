// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks flows up, one after the other, in the marker's table and in the kernel's hash: see marker_benchmark.cpp. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/flow_table.h"
#include "tests/bench/look_up.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1); /* set anew before loading */
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct flow_key);
    __type(value, struct marker_mark);
} kernel_flows SEC(".maps");

/* Where the next run goes on. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct look_up_place);
} places SEC(".maps");

#define DRAW 0
#define KERNEL_HASH 1
#define BUCKETS 2

/* How many were not found. */
static __always_inline int look_up(int how) {
    const __u32 only = 0;
    struct look_up_place* place = bpf_map_lookup_elem(&places, &only);
    if (!place) return LOOK_UPS;
    int missing = 0;
    for (int i = 0; i < LOOK_UPS; ++i) {
        __u32 next = place->next + LOOK_UP_STRIDE;
        if (next >= place->flows) next -= place->flows;
        place->next = next;
        struct flow_key key;
        look_up_key(&key, next);
        const __u64 hash = flow_hash(&key);
        struct marker_mark mark = {};
        if (how == KERNEL_HASH) {
            const struct marker_mark* found = bpf_map_lookup_elem(&kernel_flows, &key);
            if (!found) ++missing;
        } else if (how == BUCKETS) {
            if (!flow_table_find(&key, hash, 0, &mark)) ++missing;
        } else if (hash == 0) {
            ++missing;
        }
    }
    return missing;
}

SEC("tc")
int draw(struct __sk_buff* skb) {
    (void)skb;
    return look_up(DRAW);
}

SEC("tc")
int kernel_hash(struct __sk_buff* skb) {
    (void)skb;
    return look_up(KERNEL_HASH);
}

SEC("tc")
int buckets(struct __sk_buff* skb) {
    (void)skb;
    return look_up(BUCKETS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
