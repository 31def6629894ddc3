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

static __always_inline int marker_finish(struct __sk_buff* skb, int outcome, const struct marker_packet* packet) {
    if (outcome == MARKER_OUTCOMES) outcome = (int)marker_mark(skb, packet);
    marker_count((__u32)outcome);
    return TC_ACT_UNSPEC;
}

SEC("tc")
int flowd_marker(struct __sk_buff* skb) {
    struct marker_packet packet;
    const int outcome = marker_parse_ethernet(skb, &packet);
    return marker_finish(skb, outcome, &packet);
}

SEC("tc")
int flowd_marker_l3(struct __sk_buff* skb) {
    struct marker_packet packet;
    const int outcome = marker_parse_raw_ip(skb, &packet);
    return marker_finish(skb, outcome, &packet);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
