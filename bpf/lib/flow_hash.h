/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The key of a flow and its hash. BPF and C++ compile this same file, so that a flow has the same entropy bits
 * whether its label comes from the catch-all (computed per packet) or from its own entry (computed once), in both
 * directions and after every restart.
 */
#ifndef FLOWD_BPF_LIB_FLOW_HASH_H
#define FLOWD_BPF_LIB_FLOW_HASH_H

#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/*
 * A 5-tuple that is the same for both directions, because its ends are sorted. The words hold addresses and ports in
 * network order, as in the packet; IPv4 addresses are ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). Protocols
 * without ports have 0 in both; echo requests and replies of ICMP have their identifier in both.
 */
struct flow_key {
    __u64 low[2];
    __u64 high[2];
    __u16 low_port;
    __u16 high_port;
    __u8 protocol;
    __u8 reserved[3]; /* 0: a kernel hash map compares every byte */
};

/* Fills `key`; returns whether the source is its low end. Any total order is sufficient; whole words are fast. */
static __always_inline int flow_key_make(struct flow_key* key, const __u64 source[2], const __u64 destination[2],
                                         __u16 source_port, __u16 destination_port, __u8 protocol) {
    int source_is_low = source_port < destination_port;
    if (source[1] != destination[1]) /* first, because addresses of one site differ here */
        source_is_low = source[1] < destination[1];
    else if (source[0] != destination[0])
        source_is_low = source[0] < destination[0];

    if (source_is_low) {
        key->low[0] = source[0];
        key->low[1] = source[1];
        key->high[0] = destination[0];
        key->high[1] = destination[1];
        key->low_port = source_port;
        key->high_port = destination_port;
    } else {
        key->low[0] = destination[0];
        key->low[1] = destination[1];
        key->high[0] = source[0];
        key->high[1] = source[1];
        key->low_port = destination_port;
        key->high_port = source_port;
    }
    key->protocol = protocol;
    key->reserved[0] = 0;
    key->reserved[1] = 0;
    key->reserved[2] = 0;
    return source_is_low;
}

/* 0: equal. Without branches, because the words are in one cache line and the verifier follows every branch. */
static __always_inline __u64 flow_key_difference(const struct flow_key* a, const struct flow_key* b) {
    __u64 x;
    __u64 y;
    __builtin_memcpy(&x, &a->low_port, sizeof x);
    __builtin_memcpy(&y, &b->low_port, sizeof y);
    return (a->low[0] ^ b->low[0]) | (a->low[1] ^ b->low[1]) | (a->high[0] ^ b->high[0]) | (a->high[1] ^ b->high[1]) |
           (x ^ y);
}

/*
 * 64 well mixed bits. Each word has its own multiplier (odd, chosen at random), so that the five multiplications are
 * independent. Its upper half is folded in first: the low bits of a product do not depend on the high bits of its factors.
 */
static __always_inline __u64 flow_hash_word(__u64 word, __u64 multiplier) {
    return (word ^ (word >> 32)) * multiplier;
}

static __always_inline __u64 flow_hash(const struct flow_key* key) {
    const __u64 rest = (__u64)key->low_port << 32 | (__u64)key->high_port << 16 | key->protocol;
    __u64 hash = flow_hash_word(key->low[0], 0xd6e8feb86659fd93ull) + flow_hash_word(key->low[1], 0xa0761d6478bd642full) +
                 flow_hash_word(key->high[0], 0xe7037ed1a0b428dbull) + flow_hash_word(key->high[1], 0x8ebc6af09c88c6e3ull) +
                 flow_hash_word(rest, 0x589965cc75374cc3ull);
    hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15ull;
    return hash ^ (hash >> 29);
}

/* 20 bits of which a label keeps those of the entropy mask. */
static __always_inline __u32 flow_entropy(__u64 hash) {
    return (__u32)(hash >> 44);
}

#ifdef __cplusplus
static_assert(sizeof(struct flow_key) == 40 && __builtin_offsetof(struct flow_key, low_port) == 32 &&
                  __builtin_offsetof(struct flow_key, protocol) == 36,
              "the layout that the kernel's side has");
#else
_Static_assert(sizeof(struct flow_key) == 40 && __builtin_offsetof(struct flow_key, low_port) == 32 &&
                   __builtin_offsetof(struct flow_key, protocol) == 36,
               "the layout that the user's side has");
#endif

#endif
