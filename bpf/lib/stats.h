/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts the outcome of each packet, per CPU and interface, and the bytes with and without a tag. */
#ifndef FLOWD_BPF_LIB_STATS_H
#define FLOWD_BPF_LIB_STATS_H

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/config.h"
#include "bpf/lib/parse.h"
#include "bpf/marker_types.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MARKER_COUNTED_INTERFACES);
    __type(key, __u32);
    __type(value, struct marker_counts);
} marker_counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct marker_experiments);
} marker_experiments SEC(".maps");

/*
 * Only the largest are of interest: evicting the one that was seen least recently is safe. Not per CPU: that would be an
 * allocation for each of its entries at the start, and samples are rare.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, MARKER_TALKERS);
    __type(key, struct marker_talker);
    __type(value, __u64);
} marker_talkers SEC(".maps");

/* The result for a packet: its outcome, the experiment of its mark, and its family. */
#define MARKER_RESULT_OUTCOME 0x1fu
#define MARKER_RESULT_EXPERIMENT_SHIFT 8
#define MARKER_RESULT_IPV6 0x100000u
#define MARKER_RESULT_IPV4 0x200000u

/*
 * The size on the wire. A packet that the device or the kernel segments later has one header so far, and that of each
 * segment is estimated: Ethernet, IP, and TCP with timestamps.
 */
static __always_inline __u64 marker_wire_bytes(struct __sk_buff* skb, __u32 result) {
    const __u32 segments = skb->gso_segs;
    const __u32 header = result & MARKER_RESULT_IPV6 ? 86 : 66;
    return skb->len + (segments > 1 ? (__u64)(segments - 1) * header : 0);
}

/* Returns the number of samples that this packet stands for in marker_talkers. */
static __always_inline __u32 marker_count(struct __sk_buff* skb, __u32 result) {
    const __u32 slot = skb->ifindex & (MARKER_COUNTED_INTERFACES - 1);
    const __u32 outcome = result & MARKER_RESULT_OUTCOME;
    struct marker_counts* counts = bpf_map_lookup_elem(&marker_counts, &slot);
    if (!counts) return 0;
    ++counts->packets[outcome];
    if (!(result & (MARKER_RESULT_IPV6 | MARKER_RESULT_IPV4))) return 0;
    const __u64 bytes = marker_wire_bytes(skb, result);
    counts->bytes[result & MARKER_RESULT_IPV4 ? MARKER_FAMILY_IPV4 : MARKER_FAMILY_IPV6][outcome] += bytes;
    if (!marker_leaves_tagged(outcome)) {
        const __u64 before = counts->untagged;
        counts->untagged = before + bytes;
        return (__u32)((before + bytes) >> MARKER_SAMPLE_SHIFT) - (__u32)(before >> MARKER_SAMPLE_SHIFT);
    }
    /* What already has its mark was counted when it got it. */
    if (outcome == MARKER_ALREADY_MARKED) return 0;
    const __u32 only = 0;
    struct marker_experiments* experiments = bpf_map_lookup_elem(&marker_experiments, &only);
    if (experiments) experiments->bytes[result >> MARKER_RESULT_EXPERIMENT_SHIFT & (MARKER_EXPERIMENTS - 1)] += bytes;
    return 0;
}

static __always_inline void marker_note_talker(struct __sk_buff* skb, const struct packet* packet, __u32 outcome,
                                               __u64 samples) {
    struct marker_talker talker = {};
    const __u16 port = bpf_ntohs(packet->source_port);
    const int has_ports = packet->protocol != IPPROTO_ICMP && packet->protocol != PACKET_IPPROTO_ICMPV6;
    talker.cgroup = bpf_skb_cgroup_id(skb);
    talker.network = packet->version == 6 ? packet->destination[0] : packet->destination[1] & bpf_cpu_to_be64(~0xffULL);
    if (has_ports && port < marker_config.ephemeral) talker.port = packet->source_port;
    talker.protocol = packet->protocol;
    talker.family = packet->version == 6 ? MARKER_FAMILY_IPV6 : MARKER_FAMILY_IPV4;
    talker.outcome = outcome;
    __u64* known = bpf_map_lookup_elem(&marker_talkers, &talker);
    if (known)
        __sync_fetch_and_add(known, samples);
    else
        bpf_map_update_elem(&marker_talkers, &talker, &samples, BPF_ANY);
}

#endif
