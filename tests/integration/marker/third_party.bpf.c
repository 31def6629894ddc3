// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Third-party programs on the hook that the marker uses: they count what they see. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} third_party_seen SEC(".maps");

static void count(void) {
    const __u32 only = 0;
    __u64* seen = bpf_map_lookup_elem(&third_party_seen, &only);
    if (seen) __sync_fetch_and_add(seen, 1);
}

SEC("tc")
int third_party(struct __sk_buff* skb) {
    (void)skb;
    count();
    return TC_ACT_UNSPEC;
}

/* Hides its packets from the programs behind it. */
SEC("tc")
int third_party_ok(struct __sk_buff* skb) {
    (void)skb;
    count();
    return TC_ACT_OK;
}

const volatile __u32 third_party_target = 0; /* index of an interface */

/* What container networks do: sends IPv6 packets out of another interface. */
SEC("tc")
int third_party_redirect(struct __sk_buff* skb) {
    if (skb->protocol != bpf_htons(ETH_P_IPV6)) return TC_ACT_UNSPEC;
    count();
    return bpf_redirect(third_party_target, 0);
}

/* Under the name that flowd-go gives its program. */
SEC("tc")
int marker(struct __sk_buff* skb) {
    (void)skb;
    count();
    return TC_ACT_UNSPEC;
}

/* A router that clears flow labels. */
SEC("tc")
int third_party_bleach(struct __sk_buff* skb) {
    __u8 label[3]; /* with four bits of the traffic class in front */
    if (skb->protocol != bpf_htons(ETH_P_IPV6) || bpf_skb_load_bytes(skb, ETH_HLEN + 1, label, sizeof label) < 0)
        return TC_ACT_UNSPEC;
    count();
    label[0] &= 0xf0;
    label[1] = label[2] = 0;
    bpf_skb_store_bytes(skb, ETH_HLEN + 1, label, sizeof label, 0);
    return TC_ACT_UNSPEC;
}

/* A router that does not say that a hop limit was exceeded (RFC 4443 section 3.3); it forwards what others say. */
SEC("tc")
int third_party_silent(struct __sk_buff* skb) {
    __u8 next = 0, type = 0;
    if (skb->ingress_ifindex || skb->protocol != bpf_htons(ETH_P_IPV6)) return TC_ACT_UNSPEC;
    if (bpf_skb_load_bytes(skb, ETH_HLEN + 6, &next, 1) < 0 || bpf_skb_load_bytes(skb, ETH_HLEN + 40, &type, 1) < 0)
        return TC_ACT_UNSPEC;
    if (next != 58 || type != 3) return TC_ACT_UNSPEC;
    count();
    return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
