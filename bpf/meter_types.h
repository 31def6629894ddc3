/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types that the flow meter's BPF programs and their C++ side share: the layout of all maps, and the outcomes of a
 * packet. Both include this file; the static assertions below check the layout.
 */
#ifndef FLOWD_BPF_METER_TYPES_H
#define FLOWD_BPF_METER_TYPES_H

#include <linux/types.h>

#include "bpf/lib/flow_hash.h"

#define METER_OUT_PROGRAM "flowd_meter_tx"
#define METER_IN_PROGRAM "flowd_meter_rx"
#define METER_OUT_RAW_IP_PROGRAM "flowd_meter_tx3"
#define METER_IN_RAW_IP_PROGRAM "flowd_meter_rx3"
#define METER_SELF_PROGRAM "flowd_meter_me"
#define METER_BUCKETS_MAP "meter_buckets"
#define METER_FLOWS_MAP "meter_flows"
#define METER_FREE_MAP "meter_free"
#define METER_STATE_MAP "meter_state"
#define METER_COUNTS_MAP "meter_counts"
#define METER_EVENTS_MAP "meter_events"

/*
 * A hash table of our own: buckets of eight slots, each a cache line, and separately the flows, without gaps, in the
 * order of arrival: flows that are live at the same time share pages, however large the table is. The hash of a flow names
 * two buckets; its slot is in the first, or in the second if the first is full. BPF programs add flows, user space removes
 * them.
 */
#define METER_BUCKET_SLOTS 8

/*
 * A slot is one word: the index of its flow in meter_flows in the upper half, a tag in the lower half. A tag is 30 bits of
 * the flow's hash, never 0, and the slot's state. A free slot is 0. BUSY: the CPU that claimed the slot is writing its
 * flow; other CPUs may already count packets of it. GONE: look-ups no longer find it, but a
 * CPU that found it before may still count a packet; it becomes free two seconds later.
 */
#define METER_TAG_HASH 0xfffffffcu
#define METER_TAG_READY 1u
#define METER_TAG_BUSY 2u
#define METER_TAG_GONE 3u

struct meter_bucket {
    __u64 slots[METER_BUCKET_SLOTS];
};

static __always_inline __u64 meter_slot_word(__u32 number, __u32 tag) {
    return (__u64)number << 32 | tag;
}
static __always_inline __u32 meter_slot_number(__u64 word) {
    return (__u32)(word >> 32);
}

/* Index of the counts of the two directions, as seen by this host. */
#define METER_OUT 0u
#define METER_IN 1u

/* meter_flow.flags */
#define METER_LOCAL_IS_LOW (1u << 0) /* the key's low end is the local one, whose packets leave */
#define METER_OPENED_OUT (1u << 1)   /* this host opened it: it sent the SYN (TCP) or the first packet */
#define METER_OPENING_SEEN (1u << 2) /* its first packet opened it: METER_OPENED_OUT and isn are known, not assumed */
#define METER_SENT (1u << 3)         /* a packet other than a reset was sent */
#define METER_WORTHY (1u << 4)       /* sent, and reached min_bytes and min_packets */
#define METER_FIN_OUT (1u << 5)
#define METER_FIN_IN (1u << 6)
#define METER_RESET (1u << 7)
#define METER_REPLACED (1u << 8) /* a new connection of the same tuple has begun */
#define METER_ENDED (1u << 9)    /* FIN both ways, reset or replaced: end_ns is set */
#define METER_OWN (1u << 10)     /* the first packet was sent by a thread of the daemon */
#define METER_ENTERED (1u << 11) /* METER_LOCAL_IS_LOW is valid: the CPU that adds the flow has set it */

/* Value of meter_flows; two cache lines: a packet of a known flow writes only the second. */
struct meter_flow {
    struct flow_key key;
    __u32 flags;
    __u32 isn;        /* of the SYN that opened it, in network order */
    __u64 start_ns;   /* CLOCK_MONOTONIC, as all times here */
    __u64 cookie;     /* of the socket that sent first; 0: none, it is forwarded or nothing was sent */
    __u64 last_ns;    /* of the last packet, with the resolution of a kernel tick (1 to 10 ms) */
    __u64 bytes[2];   /* layer 4 payload */
    __u64 packets[2]; /* segments, as they are on the wire */
    __u64 end_ns;
    __u32 ifindex; /* the interface of its last packet */
    __u32 reserved[3];
};

/* The only value of meter_state, in memory that user space shares. */
struct meter_state {
    __u32 flows;       /* in the table now */
    __u32 max_flows;   /* the limit of `flows` */
    __u32 min_packets; /* of a flow that is worth an announcement */
    __u32 lost_events; /* for which meter_events had no room */
    __u64 min_bytes;
    __u64 daemon;  /* the address of the daemon's task_struct (its group leader's); 0: unknown */
    __u32 numbers; /* number of indices of meter_flows that were ever used; freed ones are in meter_free */
    __u32 reserved;
};

/* Constants of a loaded program (.rodata), set before it is loaded. */
struct meter_config {
    __u32 bucket_mask; /* buckets - 1; a power of two of them */
    __u32 room;        /* of meter_flows */
    __u32 leader; /* offset of `group_leader` in the kernel's task_struct; 0: unknown, or it may not be read (lockdown) */
};

/* One record of meter_events. */
struct meter_event {
    __u32 slot;
    __u32 what; /* METER_EVENT_* */
};
#define METER_EVENT_ENTERED (1u << 0) /* a new flow is in that slot */
#define METER_EVENT_WORTHY (1u << 1)
#define METER_EVENT_ENDED (1u << 2)

/* Value of meter_counts: of all packets with one outcome in one direction. Index: outcome * 2 + direction. */
struct meter_count {
    __u64 packets; /* segments, as they are on the wire */
    __u64 bytes;   /* of their frames, as an interface counts them: with link header, without FCS */
};

/*
 * The outcomes of a packet, each counted once. New ones are added before the end. The second column is the name in status.
 */
#define METER_OUTCOMES_LIST(X)                                                                               \
    X(METERED, "metered") /* of a TCP or UDP flow in the table */                                            \
    X(ICMP, "icmp")                                                                                          \
    X(OTHER_PROTOCOL, "otherProtocol") /* IP, but neither TCP, UDP nor ICMP */                               \
    X(NOT_IP, "notIp")                 /* ARP, LLDP and others */                                            \
    X(FRAGMENT, "fragment")            /* not the first of its datagram: it has no ports */                  \
    X(NOISE, "noise")                  /* multicast, broadcast, link-local, loopback, unspecified, port 0 */ \
    X(ELSEWHERE, "elsewhere")          /* of a forwarded flow, which is counted in the other direction */    \
    X(UNOPENED, "unopened")            /* TCP of an unknown flow, and does not open one: late or stray */    \
    X(NO_ROOM, "noRoom")               /* the table has no room for its flow */                              \
    X(UNREADABLE, "unreadable")        /* truncated, or more tags or headers than are walked */

enum meter_outcome {
#define METER_OUTCOME_MEMBER(name, text) METER_##name,
    METER_OUTCOMES_LIST(METER_OUTCOME_MEMBER)
#undef METER_OUTCOME_MEMBER
        METER_OUTCOMES
};

/* The tag and the buckets of a flow. The two buckets differ, unless there is only one. */
static __always_inline __u32 meter_tag(__u64 hash) {
    const __u32 tag = (__u32)(hash >> 32) & METER_TAG_HASH;
    return tag ? tag : 1u << 31;
}
static __always_inline __u32 meter_first_bucket(__u64 hash, __u32 mask) {
    return (__u32)hash & mask;
}
static __always_inline __u32 meter_second_bucket(__u64 hash, __u32 mask) {
    return ((__u32)hash ^ ((__u32)(hash >> 17) | 1u)) & mask;
}

#ifdef __cplusplus
#define METER_LAYOUT(condition) static_assert(condition, #condition)
#else
#define METER_LAYOUT(condition) _Static_assert(condition, #condition)
#endif
METER_LAYOUT(sizeof(struct meter_bucket) == 64);
METER_LAYOUT(sizeof(struct meter_flow) == 128);
METER_LAYOUT(__builtin_offsetof(struct meter_flow, flags) == 40);
METER_LAYOUT(__builtin_offsetof(struct meter_flow, last_ns) == 64);
METER_LAYOUT(__builtin_offsetof(struct meter_flow, end_ns) == 104);
METER_LAYOUT(sizeof(struct meter_state) == 40);
METER_LAYOUT(sizeof(struct meter_config) == 12);
METER_LAYOUT(sizeof(struct meter_event) == 8);
METER_LAYOUT(sizeof(struct meter_count) == 16);

#endif
