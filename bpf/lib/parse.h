/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the IPv6 header of an outgoing packet and the 5-tuple of its flow. Reads only. */
#ifndef FLOWD_BPF_LIB_PARSE_H
#define FLOWD_BPF_LIB_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/flow_hash.h"
#include "bpf/marker_types.h"

/* Hosts send at most two or three; a walk without bound would not pass the verifier. */
#define MARKER_MAX_EXTENSION_HEADERS 8

#define MARKER_IPPROTO_FRAGMENT 44

struct marker_vlan {
    __be16 tci;
    __be16 protocol;
};

struct marker_extension {
    __u8 next;
    __u8 length;
    __be16 fragment; /* only in the fragment header */
};

struct marker_packet {
    __u32 offset; /* of the IPv6 header */
    __u32 word;   /* its first four bytes, host order */
    __u32 is_fragment;
    struct marker_key key;
};

/*
 * Bytes [offset, offset + size) of the packet: in place when they are in its linear part, as they are for nearly all,
 * copied to `buffer` otherwise; null when the packet is shorter.
 */
static __always_inline const void* marker_header(struct __sk_buff* skb, __u32 offset, void* buffer, __u32 size) {
    const void* data = (const void*)(long)skb->data;
    const void* end = (const void*)(long)skb->data_end;
    if (data + offset + size <= end) return data + offset;
    if (bpf_skb_load_bytes(skb, offset, buffer, size) == 0) return buffer;
    return 0;
}

/*
 * From the header behind IPv6's to the ports. payload_len is not looked at: in a BIG TCP packet it is 0, with or without a
 * hop-by-hop jumbo option.
 */
static __always_inline int marker_parse_transport(struct __sk_buff* skb, __u32 offset, __u8 next, __u8* protocol,
                                                  __be16 ports[2], __u32* is_fragment) {
    for (int i = 0; i <= MARKER_MAX_EXTENSION_HEADERS; ++i) {
        struct marker_extension extension;

        switch (next) {
            case IPPROTO_TCP:
            case IPPROTO_UDP:
                *protocol = next;
                /* Only the first fragment shows the ports, and all of one datagram have to carry one label. */
                if (*is_fragment) return MARKER_OUTCOMES;
                return bpf_skb_load_bytes(skb, offset, ports, 4) == 0 ? MARKER_OUTCOMES : MARKER_TRUNCATED;
            case IPPROTO_HOPOPTS:
            case IPPROTO_DSTOPTS:
            case IPPROTO_ROUTING:
            case IPPROTO_MH:
                if (bpf_skb_load_bytes(skb, offset, &extension, sizeof extension) < 0) return MARKER_TRUNCATED;
                offset += ((__u32)extension.length + 1) * 8;
                break;
            case IPPROTO_AH:
                if (bpf_skb_load_bytes(skb, offset, &extension, sizeof extension) < 0) return MARKER_TRUNCATED;
                offset += ((__u32)extension.length + 2) * 4; /* RFC 4302 section 2.2 */
                break;
            case MARKER_IPPROTO_FRAGMENT:
                if (bpf_skb_load_bytes(skb, offset, &extension, sizeof extension) < 0) return MARKER_TRUNCATED;
                /* Offset or M flag; with neither it is a whole datagram (RFC 6946). */
                if (extension.fragment & bpf_htons(0xfff9)) {
                    *is_fragment = 1;
                    *protocol = extension.next;
                    return extension.next == IPPROTO_TCP || extension.next == IPPROTO_UDP ? MARKER_OUTCOMES
                                                                                          : MARKER_OTHER_PROTOCOL;
                }
                offset += 8;
                break;
            default:
                return MARKER_OTHER_PROTOCOL;
        }
        next = extension.next;
    }
    return MARKER_DEEP_HEADERS;
}

/* MARKER_OUTCOMES: `packet` is filled in; anything else: why it can't be. */
static __always_inline int marker_parse_ipv6(struct __sk_buff* skb, __u32 offset, struct marker_packet* packet) {
    /* The ports of a packet without extension headers, with the header in one look. */
    struct {
        struct ipv6hdr ip;
        __be16 ports[2];
    } buffer;
    const typeof(buffer)* header = marker_header(skb, offset, &buffer, sizeof buffer);
    if (!header) return MARKER_TRUNCATED;

    const __u64* addresses = (const __u64*)&header->ip.saddr;
    const __u64 source[2] = {addresses[0], addresses[1]};
    const __u64 destination[2] = {addresses[2], addresses[3]};
    __be16 ports[2] = {0, 0};
    __u8 protocol = header->ip.nexthdr;

    packet->offset = offset;
    packet->word = bpf_ntohl(*(const __be32*)&header->ip);
    packet->is_fragment = 0;
    if (packet->word >> 28 != 6) return MARKER_NOT_IP;
    if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
        ports[0] = header->ports[0];
        ports[1] = header->ports[1];
    } else {
        const int outcome =
            marker_parse_transport(skb, offset + sizeof(struct ipv6hdr), protocol, &protocol, ports, &packet->is_fragment);
        if (outcome != MARKER_OUTCOMES) return outcome;
    }
    marker_make_key(&packet->key, source, destination, ports[0], ports[1], protocol);
    return MARKER_OUTCOMES;
}

static __always_inline int marker_parse_ethernet(struct __sk_buff* skb, struct marker_packet* packet) {
    struct ethhdr buffer;
    const struct ethhdr* ethernet = marker_header(skb, 0, &buffer, sizeof buffer);
    if (!ethernet) return MARKER_TRUNCATED;

    __u32 offset = ETH_HLEN;
    /* Of the frame, not skb->protocol: a raw frame may say anything there. A tag that the kernel keeps beside the packet
     * (vlan_tci) takes no room in it. */
    __be16 protocol = ethernet->h_proto;
    if (protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD)) {
        struct marker_vlan tag_buffer;
        const struct marker_vlan* tag = marker_header(skb, ETH_HLEN, &tag_buffer, sizeof tag_buffer);
        if (!tag) return MARKER_TRUNCATED;
        protocol = tag->protocol;
        offset += sizeof(struct marker_vlan);
        if (protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD)) return MARKER_DEEP_VLAN;
    }
    if (protocol == bpf_htons(ETH_P_IP)) return MARKER_IPV4;
    if (protocol != bpf_htons(ETH_P_IPV6)) return MARKER_NOT_IP;
    return marker_parse_ipv6(skb, offset, packet);
}

/* A device without a link-layer header: the packet begins with its IP header. */
static __always_inline int marker_parse_raw_ip(struct __sk_buff* skb, struct marker_packet* packet) {
    __u8 buffer;
    const __u8* first = marker_header(skb, 0, &buffer, sizeof buffer);
    if (!first) return MARKER_TRUNCATED;
    if (*first >> 4 == 4) return MARKER_IPV4;
    if (*first >> 4 != 6) return MARKER_NOT_IP;
    return marker_parse_ipv6(skb, 0, packet);
}

#endif
