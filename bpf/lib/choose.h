/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Chooses the mark of a packet: its flow's, else its socket's, else its closed connection's, else the catch-all's. */
#ifndef FLOWD_BPF_LIB_CHOOSE_H
#define FLOWD_BPF_LIB_CHOOSE_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/config.h"
#include "bpf/lib/flow_hash.h"
#include "bpf/lib/flow_table.h"
#include "bpf/lib/parse.h"
#include "bpf/marker_types.h"
#include "bpf/socket_tag.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct marker_settings);
} marker_settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct socket_tag);
} socket_tags SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct marker_dscp_key);
    __type(value, __u32);
} marker_dscp SEC(".maps");

/*
 * The mark of a connection's FIN or RST. In TIME_WAIT the kernel acknowledges the peer's FIN, and replies to later
 * packets, without the socket that had the tag; by then the flow may have ended. Such packets come soon or
 * never: evicting the oldest entry is safe.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, struct flow_key);
    __type(value, struct marker_mark);
} marker_closed SEC(".maps");

__u32 marker_has_closed; /* 0: there is none, no look-up is needed */

/* Identifies the fragments of one datagram: RFC 8200 section 4.5, RFC 791. */
struct marker_datagram {
    __u64 source[2];
    __u64 destination[2];
    __u32 id;
    __u32 protocol; /* of IPv4; 0 for IPv6 */
};

/*
 * The mark of the first fragment of a datagram, for its other fragments. A host sends them in sequence, so that few entries
 * are needed: evicting the oldest is safe.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct marker_datagram);
    __type(value, struct marker_mark);
} marker_datagrams SEC(".maps");

/* The mark of a tag found in a socket, by the same tables that user space uses for flows. */
static __always_inline void marker_mark_of_tag(const struct socket_tag* tag, __u64 hash, struct marker_mark* mark) {
    const __u32 experiment = tag->experiment;
    const __u32 activity = tag->activity;
    mark->label = MARKER_IS_SET;
    mark->rest = 0;
    if (experiment == 0 && activity == 0) return;
    if (experiment < 512 && activity < 64)
        mark->label |= MARKER_HAS_LABEL | marker_config.experiment_labels[experiment] |
                       marker_config.activity_labels[activity] | (flow_entropy(hash) & MARKER_ENTROPY_MASK);
    if ((marker_config.carriers & MARKER_CARRIER_HEADERS) && experiment < 65536 && activity < 256)
        mark->rest |= MARKER_HAS_OPTION | experiment << 8 | activity;
    if (marker_config.carriers & MARKER_CARRIER_DSCP) {
        struct marker_dscp_key key = {experiment, activity};
        const __u32* dscp = bpf_map_lookup_elem(&marker_dscp, &key);
        if (!dscp) {
            key.activity = MARKER_ANY_ACTIVITY;
            dscp = bpf_map_lookup_elem(&marker_dscp, &key);
        }
        if (dscp) mark->rest |= MARKER_HAS_DSCP | (*dscp & MARKER_DSCP_MASK) << MARKER_DSCP_SHIFT;
    }
}

static __always_inline int marker_find_in_socket(struct __sk_buff* skb, __u64 hash, struct marker_mark* mark) {
    struct bpf_sock* sock = skb->sk;
    if (!sock) return 0;
    sock = bpf_sk_fullsock(sock);
    if (!sock) return 0;
    const struct socket_tag* tag = bpf_sk_storage_get(&socket_tags, sock, 0, 0);
    if (!tag) return 0;
    marker_mark_of_tag(tag, hash, mark);
    return 1;
}

/* For a TCP packet without a tag of its own. 1: its connection is closed, and `mark` is set to the mark that it had. */
static __always_inline int marker_find_closed(struct __sk_buff* skb, const struct flow_key* key, struct marker_mark* mark) {
    if (skb->ingress_ifindex) return 0;
    struct bpf_sock* sock = skb->sk;
    /* Without a socket, from TIME_WAIT, or from the kernel's own socket for replies, depending on the release. */
    const __u32 state = sock ? sock->state : BPF_TCP_CLOSE;
    if (state == BPF_TCP_CLOSE || state == BPF_TCP_TIME_WAIT) {
        const struct marker_mark* last = bpf_map_lookup_elem(&marker_closed, key);
        if (!last) return 0;
        *mark = *last;
        return 1;
    }
    /* SYN or SYN-ACK: a new connection with this 5-tuple, which has no tag. */
    if (state == BPF_TCP_SYN_SENT || state == BPF_TCP_NEW_SYN_RECV || state == BPF_TCP_SYN_RECV || state == BPF_TCP_LISTEN)
        bpf_map_delete_elem(&marker_closed, key);
    return 0;
}

/* MARKER_BY_*, or the outcome plus MARKER_NOT_CHOSEN. `is_plain`, a constant: on the fast path. */
#define MARKER_NOT_CHOSEN 0x100

static __always_inline int marker_choose_by_flow(struct __sk_buff* skb, const struct packet* packet,
                                                 const struct marker_settings* settings, struct marker_mark* mark,
                                                 int is_plain) {
    struct flow_key key;
    packet_flow_key(packet, &key);
    const __u64 hash = flow_hash(&key);
    int origin = MARKER_BY_CATCH_ALL;
    if (settings->flows && (is_plain ? flow_table_find(&key, hash, settings->epoch, mark)
                                     : flow_table_find_from(&key, hash, 0, settings->epoch, mark)))
        origin = MARKER_BY_FLOW;
    else if (settings->socket_tags && marker_find_in_socket(skb, hash, mark))
        origin = MARKER_BY_SOCKET;
    if (origin != MARKER_BY_CATCH_ALL) {
        if (packet_tcp_flags(skb, packet) & (PACKET_TCP_FIN | PACKET_TCP_RST)) {
            bpf_map_update_elem(&marker_closed, &key, mark, BPF_ANY);
            if (!marker_has_closed) marker_has_closed = 1;
        }
        return origin;
    }
    if (marker_has_closed && packet->protocol == IPPROTO_TCP && marker_find_closed(skb, &key, mark)) return MARKER_BY_FLOW;
    mark->label = settings->catch_all.label;
    mark->rest = settings->catch_all.rest;
    if (!(mark->label & MARKER_IS_SET)) return MARKER_NO_TAG | MARKER_NOT_CHOSEN;
    /* The coarse clock costs a fraction of the other clock, and lags by up to a tick. */
    if (settings->catch_all_until && bpf_ktime_get_coarse_ns() > settings->catch_all_until)
        return MARKER_NO_TAG | MARKER_NOT_CHOSEN;
    mark->label |= flow_entropy(hash) & MARKER_ENTROPY_MASK;
    return MARKER_BY_CATCH_ALL;
}

static __always_inline int marker_choose(struct __sk_buff* skb, const struct packet* packet,
                                         const struct marker_settings* settings, struct marker_mark* mark, int is_plain) {
    struct marker_datagram datagram = {
        .source = {packet->source[0], packet->source[1]},
        .destination = {packet->destination[0], packet->destination[1]},
        .id = packet->fragment_id,
        .protocol = packet->version == 4 ? packet->protocol : 0,
    };
    if (packet->fragment == PACKET_LATER_FRAGMENT) {
        const struct marker_mark* first = bpf_map_lookup_elem(&marker_datagrams, &datagram);
        if (!first) return MARKER_FRAGMENT | MARKER_NOT_CHOSEN;
        *mark = *first;
        return MARKER_BY_FRAGMENT;
    }
    const int origin = marker_choose_by_flow(skb, packet, settings, mark, is_plain);
    if (packet->fragment == PACKET_WHOLE) return origin;
    if (origin & MARKER_NOT_CHOSEN)
        bpf_map_delete_elem(&marker_datagrams, &datagram); /* of an older datagram with the same id */
    else
        bpf_map_update_elem(&marker_datagrams, &datagram, mark, BPF_ANY);
    return origin;
}

#endif
