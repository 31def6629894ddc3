// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Somebody else's programs on the hook that the marker uses: they count what they see. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

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

/* Under the name that flowd-go gives its program. */
SEC("tc")
int marker(struct __sk_buff* skb) {
    (void)skb;
    count();
    return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
