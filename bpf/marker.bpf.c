// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The marker: writes tags into packets that leave. For TCX and for clsact's egress.
 * It does not decide what happens to a packet: it always returns TC_ACT_UNSPEC (TCX_NEXT), so that all other programs run.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/mark.h"
#include "bpf/lib/parse.h"
#include "bpf/lib/stats.h"

/* The outcome for a result of `packet_find_ip` or `packet_parse` other than PACKET_OK. */
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

/* What marker_handle_any is to do: mark the packet, or take a number of samples of it for marker_talkers. */
#define MARKER_DO_HAS_ETHERNET 1u
#define MARKER_DO_SAMPLE 2u
#define MARKER_DO_OUTCOME_SHIFT 8

/* Whether a tag can be written into the packet, or its headers are wanted for a sample. */
static __always_inline int marker_wants_headers(const struct packet* packet, __u32 what) {
    return what & MARKER_DO_SAMPLE || packet->version == 6 || marker_config.carriers & MARKER_CARRIER_DSCP;
}

/*
 * Parses a packet that is not plain, as far as is needed; its version is 0 if it is not an IP packet. A separate function,
 * so that the verifier does not follow what is done with a packet once for each form of its headers.
 */
__attribute__((noinline)) int marker_parse(struct __sk_buff* skb, struct packet* packet, __u32 what) {
    if (!packet) return PACKET_TRUNCATED;
    const int found = what & MARKER_DO_HAS_ETHERNET ? packet_find_ip(skb, packet) : packet_find_raw_ip(skb, packet);
    if (found != PACKET_OK) packet->version = 0;
    if (found != PACKET_OK || !marker_wants_headers(packet, what)) return found;
    return packet_parse(skb, packet);
}

/*
 * Packets that are not plain. A separate function: the verifier checks it once, and the plain path stays short. It also
 * takes the samples.
 */
__attribute__((noinline)) int marker_handle_any(struct __sk_buff* skb, __u32 what, __u32 samples) {
    struct packet packet = {};
    const int found = marker_parse(skb, &packet, what);
    const __u32 family = packet.version == 6 ? MARKER_RESULT_IPV6 : packet.version == 4 ? MARKER_RESULT_IPV4 : 0;
    if (found != PACKET_OK) return (int)(marker_outcome_of(found) | family);
    if (!marker_wants_headers(&packet, what)) return (int)(MARKER_IPV4 | family);
    if (!(what & MARKER_DO_SAMPLE)) return (int)(marker_mark(skb, &packet, 0) | family);
    marker_note_talker(skb, &packet, what >> MARKER_DO_OUTCOME_SHIFT & MARKER_RESULT_OUTCOME, samples);
    return 0;
}

/* Whether the fast path for plain packets applies: extension headers are inserted elsewhere. */
static __always_inline int marker_takes_plain(void) {
    return !(marker_config.carriers & MARKER_CARRIER_HEADERS);
}

/* A packet of a device with an Ethernet header. Returns its result. */
static __always_inline __u32 marker_handle_ethernet(struct __sk_buff* skb) {
    struct packet packet;
    const __be16 type = packet_plain_type(skb);
    if (type == bpf_htons(ETH_P_IPV6) && marker_takes_plain() && packet_parse_plain_ipv6(skb, ETH_HLEN, &packet))
        return marker_mark(skb, &packet, 1) | MARKER_RESULT_IPV6;
    if (type == bpf_htons(ETH_P_IP) && !(marker_config.carriers & MARKER_CARRIER_DSCP))
        return MARKER_IPV4 | MARKER_RESULT_IPV4;
    return (__u32)marker_handle_any(skb, MARKER_DO_HAS_ETHERNET, 0);
}

static __always_inline void marker_count_and_sample(struct __sk_buff* skb, __u32 result, __u32 what) {
    const __u32 samples = marker_count(skb, result);
    const __u32 outcome = (result & MARKER_RESULT_OUTCOME) << MARKER_DO_OUTCOME_SHIFT;
    if (samples) marker_handle_any(skb, what | MARKER_DO_SAMPLE | outcome, samples);
}

SEC("tc")
int flowd_marker(struct __sk_buff* skb) {
    marker_count_and_sample(skb, marker_handle_ethernet(skb), MARKER_DO_HAS_ETHERNET);
    return TC_ACT_UNSPEC;
}

SEC("tc")
int flowd_marker_l3(struct __sk_buff* skb) {
    struct packet packet;
    __u32 result;
    if (marker_takes_plain() && packet_parse_plain_ipv6(skb, 0, &packet))
        result = marker_mark(skb, &packet, 1) | MARKER_RESULT_IPV6;
    else
        result = (__u32)marker_handle_any(skb, 0, 0);
    marker_count_and_sample(skb, result, 0);
    return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
