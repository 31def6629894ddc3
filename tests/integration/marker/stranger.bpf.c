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
} stranger_seen SEC(".maps");

static int count(void) {
    const __u32 only = 0;
    __u64* seen = bpf_map_lookup_elem(&stranger_seen, &only);
    if (seen) __sync_fetch_and_add(seen, 1);
    return TC_ACT_UNSPEC;
}

SEC("tc")
int stranger(struct __sk_buff* skb) {
    (void)skb;
    return count();
}

/* Under the name that flowd-go gives its program. */
SEC("tc")
int marker(struct __sk_buff* skb) {
    (void)skb;
    return count();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
