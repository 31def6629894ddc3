/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What look_up.bpf.c and look_up.hpp share. */
#ifndef FLOWD_TESTS_BENCH_LOOK_UP_H
#define FLOWD_TESTS_BENCH_LOOK_UP_H

#include "bpf/lib/flow_hash.h"

#define LOOK_UPS 1024
#define LOOK_UP_STRIDE 7919u /* a prime: every flow comes once before one comes again */

/* Number `next` of `flows` is the last that was drawn. */
struct look_up_place {
    __u32 next;
    __u32 flows;
    __u32 stride; /* LOOK_UP_STRIDE modulo flows */
};

static __always_inline __u32 look_up_next(struct look_up_place* place) {
    __u32 next = place->next + place->stride;
    if (next >= place->flows) next -= place->flows;
    place->next = next;
    return next;
}

/*
 * The key of the flow with that number: from 2001:db8:a00::1 to 2001:db8:a00:N::2, numbers as they stand in memory. Ports
 * likewise.
 */
#define LOOK_UP_PORT 1094
static __always_inline __u16 look_up_source_port(__u32 number) {
    return (__u16)(1024 + (number & 0x7fff));
}
static __always_inline __u16 look_up_network(__u32 number) {
    return (__u16)(number >> 15);
}
static __always_inline void look_up_key(struct flow_key* key, __u32 number) {
    const __u64 source[2] = {0x0000000ab80d0120ull, 0x0100000000000000ull};
    const __u64 destination[2] = {0x0000000ab80d0120ull + ((__u64)look_up_network(number) << 48), 0x0200000000000000ull};
    flow_key_make(key, source, destination, look_up_source_port(number), LOOK_UP_PORT, 6);
}

#endif
