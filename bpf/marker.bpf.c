// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The marker: writes tags into packets on their way out. For TCX and for clsact's egress.
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

/* Every packet that is not plain. A function of its own: the verifier looks at it once, and the plain ones' path is short.
 */
__attribute__((noinline)) int marker_handle_any(struct __sk_buff* skb, __u32 has_ethernet) {
    struct packet packet = {};
    int found = has_ethernet ? packet_find_ip(skb, &packet) : packet_find_raw_ip(skb, &packet);
    if (found != PACKET_OK) return (int)marker_outcome_of(found);
    if (packet.version != 6 && !(marker_config.carriers & MARKER_CARRIER_DSCP)) return MARKER_IPV4;
    found = packet_parse(skb, &packet);
    return (int)(found == PACKET_OK ? marker_mark(skb, &packet, 0) : marker_outcome_of(found));
}

/* Whether a plain packet's path is worth taking: an extension header is put in elsewhere. */
static __always_inline int marker_takes_plain(void) {
    return !(marker_config.carriers & MARKER_CARRIER_HEADERS);
}

/* A packet of a device with an Ethernet header: what became of it. */
static __always_inline __u32 marker_handle_ethernet(struct __sk_buff* skb) {
    struct packet packet;
    const __be16 type = packet_plain_type(skb);
    if (type == bpf_htons(ETH_P_IPV6) && marker_takes_plain() && packet_parse_plain_ipv6(skb, ETH_HLEN, &packet))
        return marker_mark(skb, &packet, 1);
    if (type == bpf_htons(ETH_P_IP) && !(marker_config.carriers & MARKER_CARRIER_DSCP)) return MARKER_IPV4;
    return (__u32)marker_handle_any(skb, 1);
}

SEC("tc")
int flowd_marker(struct __sk_buff* skb) {
    marker_count(skb, marker_handle_ethernet(skb));
    return TC_ACT_UNSPEC;
}

SEC("tc")
int flowd_marker_l3(struct __sk_buff* skb) {
    struct packet packet;
    __u32 outcome;
    if (marker_takes_plain() && packet_parse_plain_ipv6(skb, 0, &packet))
        outcome = marker_mark(skb, &packet, 1);
    else
        outcome = (__u32)marker_handle_any(skb, 0);
    marker_count(skb, outcome);
    return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
