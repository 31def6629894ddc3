/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes the mark into a packet.
 *
 * By the helper bpf_skb_store_bytes instead of direct access: to a program with direct writes the verifier adds a prologue
 * that copies the linear part of every cloned packet, marked or not, and drops the packet if there is no memory. All TCP
 * packets are clones of those kept for retransmission.
 */
#ifndef FLOWD_BPF_LIB_MARK_H
#define FLOWD_BPF_LIB_MARK_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/choose.h"
#include "bpf/lib/option_header.h"
#include "bpf/lib/parse.h"
#include "bpf/lib/stats.h"
#include "bpf/marker_types.h"

/*
 * Whether an application chose this label. The kernel derives automatic labels from the socket's hash (ip6_make_flowlabel
 * in include/net/ipv6.h); with net.ipv6.flowlabel_state_ranges their highest bit is set.
 */
static __always_inline int marker_is_explicit(struct __sk_buff* skb, __u32 label) {
    const __u32 hash = skb->hash;
    const __u32 automatic = bpf_ntohl(bpf_htonl(MARKER_LABEL_MASK) & (hash << 16 | hash >> 16));
    return label != 0 && label != automatic && label != (automatic | 0x80000);
}

/*
 * Replaces the first word of the IPv6 header except its version. It is not in the pseudo header: no checksum changes, and
 * the hash of the packet stays valid.
 */
static __always_inline __u32 marker_write_ipv6(struct __sk_buff* skb, const struct packet* packet, __u32 word) {
    const __be32 bytes = bpf_htonl(word);
    return bpf_skb_store_bytes(skb, packet->network, &bytes, sizeof bytes, 0) < 0 ? MARKER_WRITE_FAILED : MARKER_OUTCOMES;
}

/* The header's checksum first: that makes the whole header writable, so that the second write cannot fail. */
static __always_inline __u32 marker_write_ipv4(struct __sk_buff* skb, const struct packet* packet, __u32 word) {
    const __u32 checksum = packet->network + __builtin_offsetof(struct iphdr, check);
    if (bpf_l3_csum_replace(skb, checksum, bpf_htons(packet->word >> 16), bpf_htons(word >> 16), 2) < 0)
        return MARKER_WRITE_FAILED;
    const __u8 type_of_service = word >> 16;
    return bpf_skb_store_bytes(skb, packet->network + 1, &type_of_service, 1, 0) < 0 ? MARKER_WRITE_FAILED
                                                                                     : MARKER_OUTCOMES;
}

/* The six bits of the DSCP within the word; ECN is next to them (RFC 2474, RFC 3168). */
#define MARKER_IPV6_DSCP_SHIFT 22
#define MARKER_IPV4_DSCP_SHIFT 18

/* `word` with the DSCP of the mark; sets `kept` if it keeps a DSCP that an application chose. */
static __always_inline __u32 marker_with_dscp(__u32 word, __u32 shift, __u32 dscp, __u32* kept) {
    const __u32 mask = MARKER_DSCP_MASK << shift;
    const __u32 present = (word & mask) >> shift;
    if (!marker_config.replace_dscp && present != 0 && present != dscp) {
        *kept = MARKER_KEPT_DSCP;
        return word;
    }
    return (word & ~mask) | dscp << shift;
}

/* Returns the outcome, and the experiment of what was written at MARKER_RESULT_EXPERIMENT_SHIFT. */
static __always_inline __u32 marker_mark(struct __sk_buff* skb, const struct packet* packet, int is_plain) {
    const __u32 only = 0;
    __u32 carriers = marker_config.carriers;
    if (is_plain) carriers &= ~MARKER_CARRIER_HEADERS; /* lets the compiler remove that code from the fast path */
    const struct marker_settings* settings = bpf_map_lookup_elem(&marker_settings, &only);
    if (!settings) return MARKER_NO_TAG;
    if (!marker_config.forwarded && skb->ingress_ifindex) return MARKER_FORWARDED;

    struct marker_mark mark;
    const int origin = marker_choose(skb, packet, settings, &mark, is_plain);
    if (origin & MARKER_NOT_CHOSEN) return (__u32)origin & ~MARKER_NOT_CHOSEN;

    /* `failure` is the outcome if no carrier can be used. */
    __u32 failure = MARKER_UNMARKABLE_TAG;
    __u32 carried = 0;
    __u32 word = packet->word;
    if ((carriers & MARKER_CARRIER_LABEL) && packet->version == 6 && (mark.label & MARKER_HAS_LABEL)) {
        const __u32 marked = (word & ~MARKER_LABEL_MASK) | (mark.label & MARKER_LABEL_MASK);
        /* The upper interface of a stack wrote this label; it is not an application's. */
        if (marker_config.keep_explicit && word != marked && marker_is_explicit(skb, word & MARKER_LABEL_MASK)) {
            failure = MARKER_KEPT_EXPLICIT;
        } else {
            word = marked;
            carried = 1;
        }
    }
    if ((carriers & MARKER_CARRIER_DSCP) && (mark.rest & MARKER_HAS_DSCP)) {
        const __u32 dscp = mark.rest >> MARKER_DSCP_SHIFT & MARKER_DSCP_MASK;
        __u32 kept = 0;
        word = marker_with_dscp(word, packet->version == 6 ? MARKER_IPV6_DSCP_SHIFT : MARKER_IPV4_DSCP_SHIFT, dscp, &kept);
        if (kept) {
            if (failure == MARKER_UNMARKABLE_TAG) failure = kept;
        } else {
            carried = 1;
        }
    }
    if ((carriers & MARKER_CARRIER_HEADERS) && packet->version == 6 && (mark.rest & MARKER_HAS_OPTION)) carried = 1;

    if (!carried) return failure;
    if (settings->observe) return MARKER_OBSERVED_FLOW + origin;
    if (carriers & MARKER_CARRIER_HEADERS) {
        failure = option_header_insert(skb, packet, carriers, mark.rest & MARKER_OPTION_MASK);
    } else if (word == packet->word) {
        return MARKER_ALREADY_MARKED;
    } else if (!(carriers & MARKER_CARRIER_DSCP) || packet->version == 6) {
        failure = marker_write_ipv6(skb, packet, word);
    } else {
        failure = marker_write_ipv4(skb, packet, word);
    }
    if (failure != MARKER_OUTCOMES) return failure;
    const __u32 experiment = mark.label & MARKER_HAS_LABEL ? mark.label >> 9 & (MARKER_EXPERIMENTS - 1) : 0;
    return (MARKER_MARKED_FLOW + origin) | experiment << MARKER_RESULT_EXPERIMENT_SHIFT;
}

#endif
