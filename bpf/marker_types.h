/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the marker's BPF program and its C++ side share: the layout of every map, and the words for what became of a packet.
 * Included by both; a layout that differs between them does not compile.
 */
#ifndef FLOWD_BPF_MARKER_TYPES_H
#define FLOWD_BPF_MARKER_TYPES_H

#include <linux/types.h>

#define MARKER_ETHERNET_PROGRAM "flowd_marker"
#define MARKER_RAW_IP_PROGRAM "flowd_marker_l3"
#define MARKER_FLOWS_MAP "marker_flows"
#define MARKER_SETTINGS_MAP "marker_settings"
#define MARKER_OUTCOMES_MAP "marker_outcomes"

/* RFC 8200 section 3, the first word of the IPv6 header: version, traffic class, flow label. */
#define MARKER_LABEL_MASK 0xfffffu
/* draft-cc-v6ops-wlcg-flow-label-marking-03: the bits that are a flow's own. */
#define MARKER_ENTROPY_MASK 0xc0103u

/* Value of marker_flows, whose key is struct flow_key. */
struct marker_flow {
    __u32 label; /* 20 bits in host order, entropy included, or MARKER_NO_LABEL */
};

/* A flow of its own that must not be marked, not by the catch-all either: its tag is 0/0 or does not fit a label. */
#define MARKER_NO_LABEL 0x80000000u

/* The only value of marker_settings: what may change while packets flow. Each member is read on its own. */
struct marker_settings {
    __u32 observe;   /* 1: count, write nothing */
    __u32 catch_all; /* label without entropy, with MARKER_CATCH_ALL_SET; 0: none */
    __u32 flows;     /* 0: marker_flows is empty, no look-up is needed */
    __u32 reserved;
};

#define MARKER_CATCH_ALL_SET 0x80000000u

/* Constants of a loaded program (.rodata), set before it is loaded. */
struct marker_config {
    __u32 keep_explicit; /* 1: a label that an application chose stays */
    __u32 reserved;
};

/*
 * What became of a packet; index of marker_outcomes. Each packet is counted once. New ones are added before the end.
 * The second column is the name shown in status.
 */
#define MARKER_OUTCOMES_LIST(X)                                                                  \
    X(MARKED_FLOW, "markedFlow")          /* carries the label of its flow */                    \
    X(MARKED_CATCH_ALL, "markedCatchAll") /* carries the label of the catch-all */               \
    X(OBSERVED_FLOW, "observedFlow")      /* would have, but the mode is observe */              \
    X(OBSERVED_CATCH_ALL, "observedCatchAll")                                                    \
    X(NO_TAG, "noTag")                 /* no flow of its own and no catch-all */                 \
    X(UNMARKABLE_TAG, "unmarkableTag") /* its flow's tag is 0/0 or does not fit a label */       \
    X(KEPT_EXPLICIT, "keptExplicit")   /* policy keepExplicit: an application chose the label */ \
    X(IPV4, "ipv4")                                                                              \
    X(NOT_IP, "notIp")                                                                           \
    X(FRAGMENT, "fragment")        /* without catch-all: not every fragment shows its ports */   \
    X(DEEP_VLAN, "deepVlan")       /* more than one tag in the frame */                          \
    X(DEEP_HEADERS, "deepHeaders") /* more extension headers than are walked */                  \
    X(TRUNCATED, "truncated")      /* ends before its headers do */                              \
    X(WRITE_FAILED, "writeFailed") /* the kernel had no memory to make the header writable */

enum marker_outcome {
#define MARKER_OUTCOME_MEMBER(name, text) MARKER_##name,
    MARKER_OUTCOMES_LIST(MARKER_OUTCOME_MEMBER)
#undef MARKER_OUTCOME_MEMBER
        MARKER_OUTCOMES
};

#ifdef __cplusplus
#define MARKER_LAYOUT(condition) static_assert(condition, #condition)
#else
#define MARKER_LAYOUT(condition) _Static_assert(condition, #condition)
#endif
MARKER_LAYOUT(sizeof(struct marker_flow) == 4);
MARKER_LAYOUT(sizeof(struct marker_settings) == 16);
MARKER_LAYOUT(__builtin_offsetof(struct marker_settings, catch_all) == 4);
MARKER_LAYOUT(__builtin_offsetof(struct marker_settings, flows) == 8);
MARKER_LAYOUT(sizeof(struct marker_config) == 8);

#endif
