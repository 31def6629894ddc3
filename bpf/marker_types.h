/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types that the marker's BPF program and its C++ side share: the layout of all maps, and the outcomes of a packet.
 * Both include this file; the static assertions below check the layout.
 */
#ifndef FLOWD_BPF_MARKER_TYPES_H
#define FLOWD_BPF_MARKER_TYPES_H

#include <linux/types.h>

#include "bpf/lib/flow_hash.h"

#define MARKER_ETHERNET_PROGRAM "flowd_marker"
#define MARKER_RAW_IP_PROGRAM "flowd_marker_l3"
#define MARKER_FLOWS_MAP "marker_flows"
#define MARKER_SETTINGS_MAP "marker_settings"
#define MARKER_COUNTS_MAP "marker_counts"
#define MARKER_EXPERIMENTS_MAP "marker_experiments"
#define MARKER_TALKERS_MAP "marker_talkers"
#define MARKER_DSCP_MAP "marker_dscp"

/* RFC 8200 section 3, the first word of the IPv6 header: version, traffic class, flow label. */
#define MARKER_LABEL_MASK 0xfffffu
/* draft-cc-v6ops-wlcg-flow-label-marking-03: the entropy bits, which differ between flows of one tag. */
#define MARKER_ENTROPY_MASK 0xc0103u

/* Where a packet carries its tag: bits of marker_config.carriers. */
#define MARKER_CARRIER_LABEL 1u
#define MARKER_CARRIER_HOP_BY_HOP 2u
#define MARKER_CARRIER_DESTINATION 4u
#define MARKER_CARRIER_DSCP 8u
#define MARKER_CARRIER_HEADERS (MARKER_CARRIER_HOP_BY_HOP | MARKER_CARRIER_DESTINATION)

/* The mark of a packet, one value per carrier. */
struct marker_mark {
    __u32 label; /* 20 bits in host order; MARKER_HAS_LABEL */
    __u32 rest;  /* experiment << 8 | activity, MARKER_HAS_OPTION; dscp << MARKER_DSCP_SHIFT, MARKER_HAS_DSCP */
};

#define MARKER_HAS_LABEL 0x100000u
#define MARKER_IS_SET 0x80000000u /* in `label`: there is a mark, even if no carrier is set */
#define MARKER_OPTION_MASK 0xffffffu
#define MARKER_DSCP_SHIFT 24
#define MARKER_DSCP_MASK 0x3fu
#define MARKER_HAS_OPTION 0x40000000u
#define MARKER_HAS_DSCP 0x80000000u

/*
 * A slot of the flow table: one cache line. User space writes it while programs read it, without a lock. Therefore each of
 * the two words with a mark contains a proof: the lower 32 bits of the key's hash, in its upper half. A reader uses a word
 * only if the whole key is equal and the proof matches. Whatever the order in which it sees the stores, a packet never gets
 * the mark of another flow.
 */
struct marker_flow {
    struct flow_key key;
    __u64 label;   /* marker_mark.label, MARKER_IS_SET; the proof << 32; 0: the slot is free */
    __u64 rest;    /* marker_mark.rest; the proof << 32 */
    __u16 passed;  /* flows stored after this slot because it was taken; 0: stop searching */
    __u16 seen;    /* marker_settings.epoch when a packet last matched; written by the program */
    __u32 started; /* Unix time in seconds when the flow was added */
};

#define MARKER_BUCKET_SLOTS 8u
#define MARKER_PROBED_BUCKETS 16u

/* Value of marker_flows, an array. A flow is in the first slot that was free, starting with its home slot. */
struct marker_bucket {
    struct marker_flow slots[MARKER_BUCKET_SLOTS];
};

/* The home bucket of a flow, of `buckets` buckets. Mostly other bits of the hash than those of entropy and proof. */
static __always_inline __u32 marker_home_bucket(__u64 hash, __u32 buckets) {
    return (__u32)(((hash >> 32) * buckets) >> 32);
}
static __always_inline __u32 marker_home_slot(__u64 hash) {
    return (__u32)hash & (MARKER_BUCKET_SLOTS - 1);
}

/* The only value of marker_settings: settings that may change while packets flow. Each member is read separately. */
struct marker_settings {
    __u32 observe;                /* 1: count, write nothing */
    __u32 flows;                  /* 0: marker_flows is empty, no look-up is needed */
    __u32 socket_tags;            /* 1: a plugin writes tags into sockets */
    __u32 epoch;                  /* 16 bits; 0: `seen` of a flow is not kept */
    struct marker_mark catch_all; /* label without entropy; without MARKER_IS_SET: none */
    /* When the catch-all expires: CLOCK_MONOTONIC in nanoseconds, 0: never. A running daemon extends it. */
    __u64 catch_all_until;
};

/* Key and value of marker_dscp: the marks for tags found in sockets. */
struct marker_dscp_key {
    __u32 experiment;
    __u32 activity; /* MARKER_ANY_ACTIVITY: all activities without an entry of their own */
};
#define MARKER_ANY_ACTIVITY 0xffffffffu

/* Constants of a loaded program (.rodata), set before it is loaded: the verifier removes code that they disable. */
struct marker_config {
    __u32 carriers;               /* MARKER_CARRIER_* */
    __u32 keep_explicit;          /* 1: a label that an application chose is kept */
    __u32 replace_dscp;           /* 1: a DSCP that an application chose is replaced */
    __u32 forwarded;              /* 1: packets that this host only forwards are marked too */
    __u32 buckets;                /* of marker_flows */
    __u32 ephemeral;              /* the lowest ephemeral port: from here on a local port identifies no service */
    __u32 experiment_labels[512]; /* the label bits of experiment and activity, as encoded by the SDK */
    __u32 activity_labels[64];
};

/*
 * What determined the mark of a packet. Added to MARKER_MARKED_FLOW or MARKER_OBSERVED_FLOW it is an outcome.
 */
enum marker_origin {
    MARKER_BY_FLOW,
    MARKER_BY_SOCKET,
    MARKER_BY_CATCH_ALL,
    MARKER_BY_FRAGMENT, /* the first fragment of the same datagram */
};

/*
 * The outcomes of a packet. Each packet is counted once. New outcomes are added before the end.
 * The second column is the name shown in status.
 */
#define MARKER_OUTCOMES_LIST(X)                                                                           \
    X(MARKED_FLOW, "markedFlow")     /* carries the tag of its flow */                                    \
    X(MARKED_SOCKET, "markedSocket") /* of its socket */                                                  \
    X(MARKED_CATCH_ALL, "markedCatchAll")                                                                 \
    X(MARKED_FRAGMENT, "markedFragment") /* of the first fragment of its datagram */                      \
    X(OBSERVED_FLOW, "observedFlow")     /* would be marked, but the mode is observe */                   \
    X(OBSERVED_SOCKET, "observedSocket")                                                                  \
    X(OBSERVED_CATCH_ALL, "observedCatchAll")                                                             \
    X(OBSERVED_FRAGMENT, "observedFragment")                                                              \
    X(NO_TAG, "noTag")                   /* no flow, no socket tag and no catch-all */                    \
    X(UNMARKABLE_TAG, "unmarkableTag")   /* its tag is 0/0 or does not fit the carrier, or has no DSCP */ \
    X(KEPT_EXPLICIT, "keptExplicit")     /* policy keepExplicit: an application chose the label */        \
    X(KEPT_DSCP, "keptDscp")             /* an application chose the DSCP */                              \
    X(FORWARDED, "forwarded")            /* not sent by this host, and not configured */                  \
    X(FRAGMENT, "fragment")              /* the first fragment of its datagram was not seen */            \
    X(HAS_HEADER, "hasHeader")           /* has a hop-by-hop header or a tag in a header already */       \
    X(NO_ROOM, "noRoom")                 /* would be longer than the MTU with the header */               \
    X(BIG_PACKET, "bigPacket")           /* BIG TCP, which cannot have another header */                  \
    X(CONTROL_MESSAGE, "controlMessage") /* ICMPv6 other than echo, when the carrier is a header */       \
    X(HEADER_REFUSED, "headerRefused")   /* the kernel refuses to enlarge it (in-band VLAN tag) */        \
    X(IPV4, "ipv4")                      /* but the carrier is for IPv6 only */                           \
    X(NOT_IP, "notIp")                                                                                    \
    X(DEEP_VLAN, "deepVlan")           /* more tags in the frame than are walked */                       \
    X(DEEP_HEADERS, "deepHeaders")     /* more extension headers than are walked */                       \
    X(TRUNCATED, "truncated")          /* ends before its headers do */                                   \
    X(ALREADY_MARKED, "alreadyMarked") /* already has this mark, as from an upper interface */            \
    X(WRITE_FAILED, "writeFailed")     /* the kernel had no memory to make the header writable */

enum marker_outcome {
#define MARKER_OUTCOME_MEMBER(name, text) MARKER_##name,
    MARKER_OUTCOMES_LIST(MARKER_OUTCOME_MEMBER)
#undef MARKER_OUTCOME_MEMBER
        MARKER_OUTCOMES
};

/* Value of marker_counts, per CPU. The index is that of the interface modulo MARKER_COUNTED_INTERFACES. */
#define MARKER_OUTCOMES_ROOM 32u
#define MARKER_COUNTED_INTERFACES 256u
#define MARKER_FAMILY_IPV6 0u
#define MARKER_FAMILY_IPV4 1u
#define MARKER_FAMILIES 2u
struct marker_counts {
    __u64 packets[MARKER_OUTCOMES_ROOM];
    __u64 bytes[MARKER_FAMILIES][MARKER_OUTCOMES_ROOM]; /* of IP packets, on the wire */
    __u64 untagged;                                     /* the sum of those that left without a tag */
};

/* The only value of marker_experiments, per CPU: bytes that left with a tag. The index is the experiment as it stands in a
 * label. */
#define MARKER_EXPERIMENTS 512u
struct marker_experiments {
    __u64 bytes[MARKER_EXPERIMENTS];
};

/*
 * Key of marker_talkers: who sends bytes without a tag. Each sample stands for 16 KiB: the packet with which the bytes
 * without a tag that a CPU has counted on an interface reach another multiple of that is taken as an example for them.
 */
#define MARKER_SAMPLE_SHIFT 14u
#define MARKER_TALKERS 4096u
struct marker_talker {
    __u64 cgroup;  /* id of the socket's control group (version 2); 0: no socket */
    __u64 network; /* the first 64 bits of the destination; of IPv4 the last 64 of ::ffff:a.b.c.0; in network order */
    __be16 port;   /* local; 0: an ephemeral one, or none */
    __u8 protocol;
    __u8 family; /* MARKER_FAMILY_* */
    __u32 outcome;
};

/* Whether packets with this outcome have left with a tag. */
static __always_inline int marker_leaves_tagged(__u32 outcome) {
    return outcome <= MARKER_MARKED_FRAGMENT || outcome == MARKER_ALREADY_MARKED;
}

#ifdef __cplusplus
#define MARKER_LAYOUT(condition) static_assert(condition, #condition)
#else
#define MARKER_LAYOUT(condition) _Static_assert(condition, #condition)
#endif
MARKER_LAYOUT(sizeof(struct marker_mark) == 8);
MARKER_LAYOUT(sizeof(struct marker_flow) == 64);
MARKER_LAYOUT(__builtin_offsetof(struct marker_flow, label) == 40);
MARKER_LAYOUT(__builtin_offsetof(struct marker_flow, rest) == 48);
MARKER_LAYOUT(__builtin_offsetof(struct marker_flow, passed) == 56);
MARKER_LAYOUT(__builtin_offsetof(struct marker_flow, seen) == 58);
MARKER_LAYOUT(__builtin_offsetof(struct marker_flow, started) == 60);
MARKER_LAYOUT(sizeof(struct marker_bucket) == 512);
MARKER_LAYOUT(sizeof(struct marker_settings) == 32);
MARKER_LAYOUT(__builtin_offsetof(struct marker_settings, epoch) == 12);
MARKER_LAYOUT(__builtin_offsetof(struct marker_settings, catch_all) == 16);
MARKER_LAYOUT(__builtin_offsetof(struct marker_settings, catch_all_until) == 24);
MARKER_LAYOUT(sizeof(struct marker_dscp_key) == 8);
MARKER_LAYOUT(__builtin_offsetof(struct marker_config, experiment_labels) == 24);
MARKER_LAYOUT(sizeof(struct marker_config) == 24 + 4 * (512 + 64));
MARKER_LAYOUT(sizeof(struct marker_counts) == 776);
MARKER_LAYOUT(sizeof(struct marker_talker) == 24);
MARKER_LAYOUT(MARKER_MARKED_FLOW == 0);
MARKER_LAYOUT(MARKER_OUTCOMES <= MARKER_OUTCOMES_ROOM);
MARKER_LAYOUT((int)MARKER_MARKED_FLOW + (int)MARKER_BY_FRAGMENT == (int)MARKER_MARKED_FRAGMENT);
MARKER_LAYOUT((int)MARKER_OBSERVED_FLOW + (int)MARKER_BY_FRAGMENT == (int)MARKER_OBSERVED_FRAGMENT);

#endif
