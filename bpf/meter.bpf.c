// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The flow meter: counts outgoing and incoming packets by flow. For TCX and clsact, both directions. It changes no packet
 * and does not decide what happens to it: it always returns TC_ACT_UNSPEC (TCX_NEXT), so that all other programs run.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/meter.h"
#include "bpf/lib/parse.h"

SEC("tc")
int flowd_meter_tx(struct __sk_buff* skb) {
    meter_packet(skb, 1, METER_OUT);
    return TC_ACT_UNSPEC;
}

SEC("tc")
int flowd_meter_rx(struct __sk_buff* skb) {
    meter_packet(skb, 1, METER_IN);
    return TC_ACT_UNSPEC;
}

SEC("tc")
int flowd_meter_tx3(struct __sk_buff* skb) {
    meter_packet(skb, 0, METER_OUT);
    return TC_ACT_UNSPEC;
}

SEC("tc")
int flowd_meter_rx3(struct __sk_buff* skb) {
    meter_packet(skb, 0, METER_IN);
    return TC_ACT_UNSPEC;
}

/* The daemon runs this once itself (BPF_PROG_TEST_RUN) to record its own task. Never attached. */
SEC("tc")
int flowd_meter_me(struct __sk_buff* skb) {
    struct meter_state* state = meter_state_get();
    (void)skb;
    if (state) state->daemon = meter_process();
    return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
