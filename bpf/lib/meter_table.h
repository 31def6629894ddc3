/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The meter's table of flows: finding one, entering one. Its layout and the life of a slot: bpf/meter_types.h. */
#ifndef FLOWD_BPF_LIB_METER_TABLE_H
#define FLOWD_BPF_LIB_METER_TABLE_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/flow_hash.h"
#include "bpf/meter_types.h"

/* Sized anew before loading. Shared memory with the user's side. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 8192);
    __type(key, __u32);
    __type(value, struct meter_bucket);
} meter_buckets SEC(".maps");

/* MMAPABLE only because that begins values at a page, and so each at a cache line. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 131072);
    __type(key, __u32);
    __type(value, struct meter_flow);
} meter_flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct meter_state);
} meter_state SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 131072);
} meter_events SEC(".maps");

const volatile struct meter_config meter_config = {};

static __always_inline struct meter_state* meter_state_get(void) {
    const __u32 only = 0;
    return bpf_map_lookup_elem(&meter_state, &only);
}

/*
 * Tells the user's side. Without room for it the flow itself still says all: that some were lost makes the user's side look
 * at every flow.
 */
static __always_inline void meter_tell(__u32 slot, __u32 what) {
    const struct meter_event event = {slot, what};
    if (bpf_ringbuf_output(&meter_events, (void*)&event, sizeof event, 0) == 0) return;
    struct meter_state* state = meter_state_get();
    if (state) __sync_fetch_and_add(&state->lost_events, 1);
}

/* The flow of a key in one bucket, or null. */
static __always_inline struct meter_flow* meter_find_in(__u32 bucket, __u32 tag, const struct flow_key* key, __u32* slot) {
    const struct meter_bucket* tags = bpf_map_lookup_elem(&meter_buckets, &bucket);
    if (!tags) return 0;
    for (__u32 i = 0; i < METER_BUCKET_SLOTS; ++i) {
        const __u32 found = *(const volatile __u32*)&tags->tags[i];
        if ((found & METER_TAG_HASH) != tag) continue;
        const __u32 at = bucket * METER_BUCKET_SLOTS + i;
        struct meter_flow* flow = bpf_map_lookup_elem(&meter_flows, &at);
        if (!flow) return 0;
        /* While its key is being written 30 equal bits of the hash have to do. */
        if ((found & METER_TAG_GONE) == METER_TAG_READY && flow_key_difference(&flow->key, key)) continue;
        *slot = at;
        return flow;
    }
    return 0;
}

/* Takes a slot out of everybody's sight. */
static __always_inline void meter_hide(__u32 slot, __u32 tag) {
    const __u32 bucket = slot / METER_BUCKET_SLOTS;
    struct meter_bucket* tags = bpf_map_lookup_elem(&meter_buckets, &bucket);
    if (tags) __sync_val_compare_and_swap(&tags->tags[slot % METER_BUCKET_SLOTS], tag | METER_TAG_READY, METER_TAG_GONE);
}

/* What is known of a flow when it is entered. */
struct meter_opening {
    struct flow_key key;
    __u64 cookie;
    __u32 tag;
    __u32 flags;
    __u32 isn;
    __u32 ifindex;
};

/*
 * Claims a slot of the bucket; with the slot of another CPU that has just claimed one for the same flow it is that one.
 * Answers 1 when `slot` is set.
 */
static __always_inline int meter_claim_in(__u32 bucket, const struct meter_opening* opening, __u32* slot, __u32* claimed) {
    struct meter_bucket* tags = bpf_map_lookup_elem(&meter_buckets, &bucket);
    if (!tags) return 0;
    for (__u32 i = 0; i < METER_BUCKET_SLOTS; ++i) {
        __u32 found = *(volatile __u32*)&tags->tags[i];
        if (found == 0) {
            found = __sync_val_compare_and_swap(&tags->tags[i], 0, opening->tag | METER_TAG_BUSY);
            *claimed = found == 0;
        }
        if (*claimed || (found & METER_TAG_HASH) == opening->tag) {
            *slot = bucket * METER_BUCKET_SLOTS + i;
            return 1;
        }
    }
    return 0;
}

/*
 * Enters a flow. A function of its own: few packets get here. Answers its slot, METER_NO_SLOT when there is no room.
 * `*entered` is 0 when another CPU was faster.
 */
#define METER_NO_SLOT 0xffffffffu
static __noinline __u32 meter_enter(const struct meter_opening* opening, __u64 hash, __u32 direction, __u32* entered) {
    __u32 slot = METER_NO_SLOT;
    __u32 claimed = 0;
    struct meter_state* state = meter_state_get();
    if (!state) return METER_NO_SLOT;
    /* What others send here may fill three quarters; the rest is for what this host sends. */
    const __u32 max = *(volatile __u32*)&state->max_flows;
    if (*(volatile __u32*)&state->flows >= (direction == METER_OUT ? max : max - max / 4)) return METER_NO_SLOT;

    if (!meter_claim_in(meter_first_bucket(hash, meter_config.bucket_mask), opening, &slot, &claimed) &&
        !meter_claim_in(meter_second_bucket(hash, meter_config.bucket_mask), opening, &slot, &claimed))
        return METER_NO_SLOT;
    *entered = claimed;
    if (!claimed) return slot;

    struct meter_flow* flow = bpf_map_lookup_elem(&meter_flows, &slot);
    const __u32 bucket = slot / METER_BUCKET_SLOTS;
    struct meter_bucket* tags = bpf_map_lookup_elem(&meter_buckets, &bucket);
    if (!flow || !tags) return METER_NO_SLOT;
    flow->key = opening->key;
    flow->isn = opening->isn;
    flow->cookie = opening->cookie;
    flow->ifindex = opening->ifindex;
    flow->start_ns = bpf_ktime_get_ns();
    flow->last_ns = flow->start_ns;
    __sync_fetch_and_or(&flow->flags, opening->flags);
    __sync_fetch_and_add(&state->flows, 1);
    __sync_lock_test_and_set(&tags->tags[slot % METER_BUCKET_SLOTS], opening->tag | METER_TAG_READY);
    return slot;
}

#endif
