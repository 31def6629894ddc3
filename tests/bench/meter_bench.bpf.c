// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The meter over many flows in rotation, for its benchmark: each run rewrites the frame's source address first. Beside it
 * the same with a hash of the kernel's, and the rewriting alone. Never attached.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/meter.h"
#include "bpf/lib/parse.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 131072);
    __type(key, struct flow_key);
    __type(value, struct meter_flow);
} kernel_hash SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} turn SEC(".maps");

const volatile __u32 flow_mask = 0;

/*
 * The next of flow_mask + 1 flows. In another order in each round: in that in which they were entered they would lie one
 * behind the other.
 */
static __always_inline int rotate(struct __sk_buff* skb) {
    const __u32 only = 0;
    __u64* count = bpf_map_lookup_elem(&turn, &only);
    void* data = (void*)(long)skb->data;
    if (!count || data + 38 > (void*)(long)skb->data_end) return 0;
    const __u32 round = (__u32)(++*count / ((__u64)flow_mask + 1));
    *(__u32*)(data + 34) = (__u32)*count * (0x9e3779b1u + 2 * round * 0x2545f491u) & flow_mask; /* of the source address */
    return 1;
}

SEC("tc")
int bench_rotate(struct __sk_buff* skb) {
    rotate(skb);
    return TC_ACT_UNSPEC;
}

SEC("tc")
int bench_table(struct __sk_buff* skb) {
    if (!rotate(skb)) return TC_ACT_UNSPEC;
    meter_packet(skb, 1, METER_OUT);
    return TC_ACT_UNSPEC;
}

static __always_inline void hash_packet(struct __sk_buff* skb, const struct packet* ip) {
    struct meter_packet packet;
    struct flow_key key;
    meter_weigh_frame(skb, &packet);
    if (!meter_weigh(skb, ip, &packet)) return;
    packet_flow_key(ip, &key);
    struct meter_flow* flow = bpf_map_lookup_elem(&kernel_hash, &key);
    if (!flow) {
        const struct meter_flow fresh = {.flags = METER_WORTHY};
        bpf_map_update_elem(&kernel_hash, &key, &fresh, BPF_NOEXIST);
        flow = bpf_map_lookup_elem(&kernel_hash, &key);
        if (!flow) return;
    }
    meter_add(flow, &packet, METER_OUT, skb->ifindex);
    const __u32 index = METER_METERED * 2 + METER_OUT;
    struct meter_count* count = bpf_map_lookup_elem(&meter_counts, &index);
    if (!count) return;
    count->packets += packet.segments;
    count->bytes += packet.frame;
}

SEC("tc")
int bench_hash(struct __sk_buff* skb) {
    struct packet ip = {};
    if (!rotate(skb)) return TC_ACT_UNSPEC;
    if (packet_find_ip(skb, &ip) == PACKET_OK && packet_parse(skb, &ip) == PACKET_OK) hash_packet(skb, &ip);
    return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
