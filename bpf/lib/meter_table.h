/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The meter's table of flows: look-up and insertion. Its layout and the states of a slot: bpf/meter_types.h. */
#ifndef FLOWD_BPF_LIB_METER_TABLE_H
#define FLOWD_BPF_LIB_METER_TABLE_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/flow_hash.h"
#include "bpf/meter_types.h"

/* Resized before loading. Memory that user space shares. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 8192);
    __type(key, __u32);
    __type(value, struct meter_bucket);
} meter_buckets SEC(".maps");

/* MMAPABLE only because that aligns the values to a page, and so each to a cache line. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct meter_flow);
} meter_flows SEC(".maps");

/* Indices of flows that user space has freed; a stack, because the last one may still be in a cache. */
struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, 65536);
    __type(value, __u32);
} meter_free SEC(".maps");

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
 * Reports an event to user space. If there is no room, the flow itself still has the information: the count of lost events
 * makes user space examine all flows.
 */
static __always_inline void meter_tell(__u32 slot, __u32 what) {
    const struct meter_event event = {slot, what};
    if (bpf_ringbuf_output(&meter_events, (void*)&event, sizeof event, 0) == 0) return;
    struct meter_state* state = meter_state_get();
    if (state) __sync_fetch_and_add(&state->lost_events, 1);
}

static __always_inline struct meter_flow* meter_flow_at(__u64 word) {
    const __u32 number = meter_slot_number(word);
    return bpf_map_lookup_elem(&meter_flows, &number);
}

/* The slot of the bucket that has this tag, of which there is at most one; METER_BUCKET_SLOTS: there is none. */
static __always_inline __u32 meter_taken_in(const struct meter_bucket* slots, __u32 tag, __u64* word) {
    __u32 i = 0;
    for (; i < METER_BUCKET_SLOTS; ++i) {
        *word = *(const volatile __u64*)&slots->slots[i];
        if (((__u32)*word & METER_TAG_HASH) == tag) break;
    }
    return i;
}

/* The flow of a key in one bucket, or null. */
static __always_inline struct meter_flow* meter_find_in(__u32 bucket, __u32 tag, const struct flow_key* key, __u32* slot) {
    const struct meter_bucket* slots = bpf_map_lookup_elem(&meter_buckets, &bucket);
    __u64 word;
    if (!slots) return 0;
    const __u32 at = meter_taken_in(slots, tag, &word);
    struct meter_flow* flow = at == METER_BUCKET_SLOTS ? 0 : meter_flow_at(word);
    if (!flow) return 0;
    /* While the key is being written, 30 equal bits of the hash are sufficient. */
    if ((word & METER_TAG_GONE) == METER_TAG_READY && flow_key_difference(&flow->key, key)) return 0;
    *slot = bucket * METER_BUCKET_SLOTS + at;
    return flow;
}

static __always_inline __u64* meter_slot_at(__u32 slot) {
    const __u32 bucket = slot / METER_BUCKET_SLOTS;
    struct meter_bucket* slots = bpf_map_lookup_elem(&meter_buckets, &bucket);
    return slots ? &slots->slots[slot % METER_BUCKET_SLOTS] : 0;
}

/* Hides a slot from look-ups. */
static __always_inline void meter_hide(__u32 slot, __u32 tag) {
    __u64* word = meter_slot_at(slot);
    if (!word) return;
    const __u32 number = meter_slot_number(*(volatile __u64*)word);
    __sync_val_compare_and_swap(word, meter_slot_word(number, tag | METER_TAG_READY),
                                meter_slot_word(number, METER_TAG_GONE));
}

/* The properties of a flow when it is added. */
struct meter_opening {
    struct flow_key key;
    __u32 tag;
    __u32 flags;
    __u32 isn;
    __u32 ifindex;
};

/* The index of a free flow. 0: there is none. */
static __always_inline int meter_take_number(struct meter_state* state, __u32* number) {
    if (bpf_map_pop_elem(&meter_free, number) == 0) return 1;
    if (*(volatile __u32*)&state->numbers >= meter_config.room) return 0;
    *number = __sync_fetch_and_add(&state->numbers, 1);
    return *number < meter_config.room;
}

/* Claims a free slot of the bucket; METER_BUCKET_SLOTS: there is none. */
static __always_inline __u32 meter_take_in(struct meter_bucket* slots, __u64 word) {
    __u32 i = 0;
    for (; i < METER_BUCKET_SLOTS; ++i)
        if (!*(volatile __u64*)&slots->slots[i] && !__sync_val_compare_and_swap(&slots->slots[i], 0, word)) break;
    return i;
}

/*
 * One CPU at a time checks whether a flow is present and claims a slot for it. Otherwise two CPUs could each claim one, if
 * a slot before the one that the first CPU claimed became free meanwhile. Flows with the same first bucket share a lock.
 * Slots are still claimed atomically: the second bucket of a flow is the first bucket of others.
 */
#define METER_LOCKS 1024u
struct meter_lock {
    struct bpf_spin_lock lock;
};
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, METER_LOCKS);
    __type(key, __u32);
    __type(value, struct meter_lock);
} meter_locks SEC(".maps");

/*
 * Claims a slot for the flow with that index, in the first of its buckets that has a free slot. If another CPU has claimed
 * one for the same flow, that slot is used. Returns the slot's word, 0 if there is none.
 */
static __always_inline __u64 meter_claim(__u64 hash, __u32 tag, __u32 number, __u32* slot, __u32* claimed) {
    const __u32 first = meter_first_bucket(hash, meter_config.bucket_mask);
    const __u32 second = meter_second_bucket(hash, meter_config.bucket_mask);
    const __u32 lock_index = first & (METER_LOCKS - 1);
    struct meter_bucket* first_slots = bpf_map_lookup_elem(&meter_buckets, &first);
    struct meter_bucket* second_slots = bpf_map_lookup_elem(&meter_buckets, &second);
    struct meter_lock* lock = bpf_map_lookup_elem(&meter_locks, &lock_index);
    if (!first_slots || !second_slots || !lock) return 0;
    const __u64 wanted = meter_slot_word(number, tag | METER_TAG_BUSY);
    __u64 word = 0;
    __u32 bucket = first;

    bpf_spin_lock(&lock->lock);
    __u32 at = meter_taken_in(first_slots, tag, &word);
    if (at == METER_BUCKET_SLOTS) {
        bucket = second;
        at = meter_taken_in(second_slots, tag, &word);
    }
    if (at == METER_BUCKET_SLOTS) {
        bucket = first;
        word = wanted;
        at = meter_take_in(first_slots, wanted);
        if (at == METER_BUCKET_SLOTS) {
            bucket = second;
            at = meter_take_in(second_slots, wanted);
        }
        *claimed = at != METER_BUCKET_SLOTS;
    }
    bpf_spin_unlock(&lock->lock);

    *slot = bucket * METER_BUCKET_SLOTS + at;
    return at == METER_BUCKET_SLOTS ? 0 : word;
}

/* Whether the slot with that word is this flow's: while its key is written, 30 equal bits of the hash are sufficient. */
static __always_inline int meter_is_of(__u64 word, const struct flow_key* key) {
    if ((word & METER_TAG_GONE) != METER_TAG_READY) return 1;
    const struct meter_flow* flow = meter_flow_at(word);
    return flow && !flow_key_difference(&flow->key, key);
}

/*
 * Adds a flow. A separate function, which the verifier checks once. Returns its index, METER_NO_FLOW if there is no room.
 * `*entered` is 0 if another CPU added it first.
 */
#define METER_NO_FLOW 0xffffffffu
__noinline __u32 meter_enter(const struct meter_opening* opening, __u64 hash, __u32 direction, __u32* slot,
                             __u32* entered) {
    __u32 claimed = 0;
    __u32 number = 0;
    struct meter_state* state = meter_state_get();
    if (!state || !opening || !slot || !entered) return METER_NO_FLOW;
    /* Flows opened from outside may use three quarters; the rest is for flows that this host opens. */
    const __u32 max = *(volatile __u32*)&state->max_flows;
    if (*(volatile __u32*)&state->flows >= (direction == METER_OUT ? max : max - max / 4)) return METER_NO_FLOW;
    if (!meter_take_number(state, &number)) return METER_NO_FLOW;

    const __u64 word = meter_claim(hash, opening->tag, number, slot, &claimed);
    *entered = claimed;
    if (!claimed) {
        bpf_map_push_elem(&meter_free, &number, 0);
        return word && meter_is_of(word, &opening->key) ? meter_slot_number(word) : METER_NO_FLOW;
    }

    struct meter_flow* flow = meter_flow_at(word);
    __u64* place = meter_slot_at(*slot);
    if (!flow || !place) return METER_NO_FLOW;
    flow->key = opening->key;
    flow->isn = opening->isn;
    flow->ifindex = opening->ifindex;
    flow->start_ns = bpf_ktime_get_ns();
    flow->last_ns = flow->start_ns;
    __sync_fetch_and_or(&flow->flags, opening->flags | METER_ENTERED);
    __sync_fetch_and_add(&state->flows, 1);
    __sync_lock_test_and_set(place, meter_slot_word(number, opening->tag | METER_TAG_READY));
    return number;
}

#endif
