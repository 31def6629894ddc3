/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What look_up.bpf.c and look_up.hpp share. */
#ifndef FLOWD_TESTS_BENCH_LOOK_UP_H
#define FLOWD_TESTS_BENCH_LOOK_UP_H

#include "bpf/lib/flow_hash.h"

#define LOOK_UPS 1024
#define LOOK_UP_STRIDE 7919u /* a prime: every flow comes once before one comes again */

struct look_up_place {
    __u32 next;
    __u32 flows;
};

/* The key of the flow with that number. */
static __always_inline void look_up_key(struct flow_key* key, __u32 number) {
    const __u64 source[2] = {0x0000000ab80d0120ull, 0x0100000000000000ull};
    const __u64 destination[2] = {0x0000000ab80d0120ull + ((__u64)(number >> 15) << 48), 0x0200000000000000ull};
    flow_key_make(key, source, destination, (__u16)(1024 + (number & 0x7fff)), 1094, 6);
}

#endif
