// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The marker: writes the flow label of packets on their way out. For TCX and for clsact's egress.
 * It has no opinion on a packet's fate: TC_ACT_UNSPEC (TCX_NEXT) lets every other program run, always.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/mark.h"
#include "bpf/lib/parse.h"
#include "bpf/lib/stats.h"

/* What `packet_find_ip` and `packet_parse` found, when it is not PACKET_OK. */
static __always_inline __u32 marker_outcome_of(int found) {
    switch (found) {
        case PACKET_NOT_IP:
            return MARKER_NOT_IP;
        case PACKET_DEEP_VLAN:
            return MARKER_DEEP_VLAN;
        case PACKET_DEEP_HEADERS:
            return MARKER_DEEP_HEADERS;
        default:
            return MARKER_TRUNCATED;
    }
}

static __always_inline __u32 marker_handle(struct __sk_buff* skb, int found, struct packet* packet) {
    if (found != PACKET_OK) return marker_outcome_of(found);
    if (packet->version != 6) return MARKER_IPV4;
    found = packet_parse_ipv6(skb, packet);
    if (found != PACKET_OK) return marker_outcome_of(found);
    return marker_mark(skb, packet);
}

SEC("tc")
int flowd_marker(struct __sk_buff* skb) {
    struct packet packet;
    const int found = packet_find_ip(skb, &packet);
    marker_count(marker_handle(skb, found, &packet));
    return TC_ACT_UNSPEC;
}

SEC("tc")
int flowd_marker_l3(struct __sk_buff* skb) {
    struct packet packet;
    const int found = packet_find_raw_ip(skb, &packet);
    marker_count(marker_handle(skb, found, &packet));
    return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
