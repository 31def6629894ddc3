/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The marker's flows: a hash table of our own in an array map, which user space maps into its memory and writes there.
 * Measured against the kernel's hash and socket storage: docs/performance.md. Its invariants: struct marker_flow.
 * A flow never moves while it is in the table, and nothing is ever evicted.
 */
#ifndef FLOWD_BPF_LIB_FLOW_TABLE_H
#define FLOWD_BPF_LIB_FLOW_TABLE_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/config.h"
#include "bpf/marker_types.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); /* replaced before loading */
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct marker_bucket);
} marker_flows SEC(".maps");

/* Whether a slot with this label holds the flow. */
static __always_inline int flow_table_holds(const struct marker_flow* slot, __u64 label, const struct flow_key* key,
                                            __u64 hash) {
    /* The proof, and MARKER_IS_SET, which is the bit below it: rejects most slots that do not match. */
    if (label >> 31 != ((__u64)(__u32)hash << 1 | 1)) return 0;
    return !flow_key_difference(&slot->key, key);
}

/* Returns the mark of a slot that holds the flow. `epoch`: see marker_settings. */
static __always_inline void flow_table_take(struct marker_flow* slot, __u64 label, __u64 hash, __u32 epoch,
                                            struct marker_mark* mark) {
    const __u64 rest = slot->rest;
    mark->label = (__u32)label;
    mark->rest = (rest >> 32) == (__u32)hash ? (__u32)rest : 0;
    if (epoch && slot->seen != (__u16)epoch) slot->seen = (__u16)epoch;
}

/*
 * Searches one of the buckets where the flow may be: `place` counts slots from its home slot on, and the search begins
 * there. FLOW_TABLE_PASSED: not found, and flows are stored after its last slot. A separate function, so that the verifier
 * checks a bucket once.
 */
#define FLOW_TABLE_PASSED 2
__attribute__((noinline)) int flow_table_find_in(const struct flow_key* key, __u64 hash, __u32 place, __u32 epoch,
                                                 struct marker_mark* mark) {
    if (!key || !mark) return 0;
    const __u32 buckets = marker_config.buckets;
    __u32 index = marker_home_bucket(hash, buckets) + place / MARKER_BUCKET_SLOTS;
    if (index >= buckets) index -= buckets; /* in a table of few buckets, all were searched if it is still too large */
    struct marker_bucket* slots = bpf_map_lookup_elem(&marker_flows, &index);
    if (!slots) return 0;
    for (__u32 i = place & (MARKER_BUCKET_SLOTS - 1); i < MARKER_BUCKET_SLOTS; ++i) {
        struct marker_flow* slot = &slots->slots[(marker_home_slot(hash) + i) & (MARKER_BUCKET_SLOTS - 1)];
        const __u64 label = slot->label;
        if (flow_table_holds(slot, label, key, hash)) {
            flow_table_take(slot, label, hash, epoch, mark);
            return 1;
        }
        if (!slot->passed) return 0;
    }
    return FLOW_TABLE_PASSED;
}

/* Searches from slot `place` on. */
__attribute__((noinline)) int flow_table_find_from(const struct flow_key* key, __u64 hash, __u32 place, __u32 epoch,
                                                   struct marker_mark* mark) {
    if (!key || !mark) return 0;
    for (__u32 bucket = 0; bucket < MARKER_PROBED_BUCKETS; ++bucket) {
        const int found = flow_table_find_in(key, hash, place, epoch, mark);
        if (found != FLOW_TABLE_PASSED) return found;
        place = (bucket + 1) * MARKER_BUCKET_SLOTS;
    }
    return 0;
}

/* 1 and the flow's mark, or 0: most flows are in their first slot, or not in the table. */
static __always_inline int flow_table_find(const struct flow_key* key, __u64 hash, __u32 epoch, struct marker_mark* mark) {
    const __u32 index = marker_home_bucket(hash, marker_config.buckets);
    struct marker_bucket* slots = bpf_map_lookup_elem(&marker_flows, &index);
    if (!slots) return 0;
    struct marker_flow* slot = &slots->slots[marker_home_slot(hash)];
    const __u64 label = slot->label;
    if (flow_table_holds(slot, label, key, hash)) {
        flow_table_take(slot, label, hash, epoch, mark);
        return 1;
    }
    return slot->passed && flow_table_find_from(key, hash, 1, epoch, mark);
}

#endif
