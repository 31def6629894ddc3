/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Chooses the label of a packet and writes it. */
#ifndef FLOWD_BPF_LIB_MARK_H
#define FLOWD_BPF_LIB_MARK_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/flow_hash.h"
#include "bpf/lib/parse.h"
#include "bpf/marker_types.h"

/* No LRU: a flow is never forgotten silently; a full table is an error that its writer sees and counts. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 131072); /* set anew before loading */
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct flow_key);
    __type(value, struct marker_flow);
} marker_flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct marker_settings);
} marker_settings SEC(".maps");

const volatile struct marker_config marker_config = {};

/*
 * Whether an application chose this label. The kernel's automatic one follows from the socket's hash (ip6_make_flowlabel in
 * include/net/ipv6.h); with net.ipv6.flowlabel_state_ranges its highest bit is set.
 */
static __always_inline int marker_is_explicit(struct __sk_buff* skb, __u32 label) {
    const __u32 hash = skb->hash;
    const __u32 automatic = bpf_ntohl(bpf_htonl(MARKER_LABEL_MASK) & (hash << 16 | hash >> 16));
    return label != 0 && label != automatic && label != (automatic | 0x80000);
}

/*
 * Replaces the 20 bits of the label and nothing else: they are outside the pseudo header, so no checksum changes, and the
 * hash of the packet stays valid. The helper rather than a direct write: the latter makes the verifier prepend code that
 * copies every cloned packet, marked or not, and drops it when there is no memory.
 */
static __always_inline int marker_write(struct __sk_buff* skb, const struct packet* packet, __u32 label) {
    const __be32 word = bpf_htonl((packet->word & ~MARKER_LABEL_MASK) | label);
    /* From the second byte on: the first holds the version and half of the traffic class. */
    return bpf_skb_store_bytes(skb, packet->network + 1, (const __u8*)&word + 1, 3, 0);
}

static __always_inline __u32 marker_mark(struct __sk_buff* skb, struct packet* packet) {
    const __u32 only = 0;
    const struct marker_settings* settings = bpf_map_lookup_elem(&marker_settings, &only);
    if (!settings) return MARKER_NO_TAG;

    const int is_fragment = packet->fragment != PACKET_WHOLE;
    /* Only the first fragment shows the ports, and all of one datagram have to carry one label. */
    if (is_fragment) packet->source_port = packet->destination_port = 0;
    struct flow_key key;
    packet_flow_key(packet, &key);

    __u32 label;
    __u32 by_flow = 0;
    const struct marker_flow* flow = 0;
    if (settings->flows && !is_fragment) flow = bpf_map_lookup_elem(&marker_flows, &key);
    if (flow) {
        label = flow->label;
        if (label & MARKER_NO_LABEL) return MARKER_UNMARKABLE_TAG;
        by_flow = 1;
    } else {
        const __u32 catch_all = settings->catch_all;
        if (!(catch_all & MARKER_CATCH_ALL_SET)) return is_fragment ? MARKER_FRAGMENT : MARKER_NO_TAG;
        label =
            (catch_all & MARKER_LABEL_MASK & ~MARKER_ENTROPY_MASK) | (flow_entropy(flow_hash(&key)) & MARKER_ENTROPY_MASK);
    }

    const __u32 present = packet->word & MARKER_LABEL_MASK;
    if (marker_config.keep_explicit && marker_is_explicit(skb, present)) return MARKER_KEPT_EXPLICIT;
    if (settings->observe) return by_flow ? MARKER_OBSERVED_FLOW : MARKER_OBSERVED_CATCH_ALL;
    if (marker_write(skb, packet, label) < 0) return MARKER_WRITE_FAILED;
    return by_flow ? MARKER_MARKED_FLOW : MARKER_MARKED_CATCH_ALL;
}

#endif
