/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one flow hash. BPF and C++ compile this very file, so that a flow has the same entropy bits whether its label comes
 * from the catch-all (computed per packet) or from its own entry (computed once), in both directions and after every
 * restart.
 */
#ifndef FLOWD_BPF_LIB_FLOW_HASH_H
#define FLOWD_BPF_LIB_FLOW_HASH_H

#include "bpf/marker_types.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* Fills `key` with the ends in an order that does not depend on who sends. Any total order serves; whole words are fast. */
static __always_inline void marker_make_key(struct marker_key* key, const __u64 source[2], const __u64 destination[2],
                                            __u16 source_port, __u16 destination_port, __u8 protocol) {
    int source_is_low = source_port < destination_port;
    if (source[0] != destination[0])
        source_is_low = source[0] < destination[0];
    else if (source[1] != destination[1])
        source_is_low = source[1] < destination[1];

    key->low[0] = source_is_low ? source[0] : destination[0];
    key->low[1] = source_is_low ? source[1] : destination[1];
    key->high[0] = source_is_low ? destination[0] : source[0];
    key->high[1] = source_is_low ? destination[1] : source[1];
    key->low_port = source_is_low ? source_port : destination_port;
    key->high_port = source_is_low ? destination_port : source_port;
    key->protocol = protocol;
    key->reserved[0] = 0;
    key->reserved[1] = 0;
    key->reserved[2] = 0;
}

static __always_inline __u64 marker_mix(__u64 hash, __u64 word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull; /* 2^64 / golden ratio: odd, bits well spread (Knuth, TAOCP 6.4) */
    return hash ^ (hash >> 32);
}

/* 20 bits of which the label keeps those in MARKER_ENTROPY_MASK. */
static __always_inline __u32 marker_entropy(const struct marker_key* key) {
    __u64 hash = marker_mix(0, key->low[0]);
    hash = marker_mix(hash, key->low[1]);
    hash = marker_mix(hash, key->high[0]);
    hash = marker_mix(hash, key->high[1]);
    hash = marker_mix(hash, (__u64)key->low_port << 32 | (__u64)key->high_port << 16 | key->protocol);
    return (__u32)(hash >> 44);
}

#endif
