/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the IP header of a packet and the 5-tuple of its flow. Only reads, and is independent of its users.
 *
 *   struct packet packet = {};                           the verifier rejects a path that leaves a member unset
 *   int found = packet_find_ip(skb, &packet);            cheap: the link layer only
 *   if (found == PACKET_OK) found = packet_parse(skb, &packet);
 *   if (found == PACKET_OK) packet_flow_key(&packet, &key);
 */
#ifndef FLOWD_BPF_LIB_PARSE_H
#define FLOWD_BPF_LIB_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/flow_hash.h"

/* Hosts send at most two or three; the verifier rejects an unbounded walk. */
#define PACKET_MAX_EXTENSION_HEADERS 8
/* QinQ (IEEE 802.1ad) is two. A tag that the kernel keeps outside of the packet (vlan_tci) does not count. */
#define PACKET_MAX_VLAN_TAGS 2

/* A mask for offsets, more than headers can fill: the verifier has to see a limit. */
#define PACKET_OFFSETS 0x7fff

#define PACKET_IPPROTO_FRAGMENT 44
#define PACKET_IPPROTO_ICMPV6 58
#define PACKET_IPPROTO_UDPLITE 136

/* RFC 9293 section 3.1: the octet of the TCP header with the flags, and two of them. */
#define PACKET_TCP_FLAGS 13
#define PACKET_TCP_FIN 0x01
#define PACKET_TCP_RST 0x04

enum packet_found {
    PACKET_OK,
    PACKET_NOT_IP,       /* neither IPv4 nor IPv6 */
    PACKET_TRUNCATED,    /* ends before its headers do */
    PACKET_DEEP_VLAN,    /* more tags in the frame than are walked */
    PACKET_DEEP_HEADERS, /* more extension headers than are walked */
};

enum packet_fragment {
    PACKET_WHOLE,
    PACKET_FIRST_FRAGMENT, /* the only one that contains the ports */
    PACKET_LATER_FRAGMENT, /* source_port and destination_port are 0 */
};

struct packet {
    __u64 source[2]; /* in network order; IPv4 as ::ffff:a.b.c.d */
    __u64 destination[2];
    __u32 network;      /* offset of the IP header */
    __u32 transport;    /* offset of the header after it and its extension headers or options */
    __u32 word;         /* the first four bytes of the IP header, host order */
    __u32 fragment_id;  /* of a fragment, in network order */
    __be16 source_port; /* of TCP, UDP, SCTP, DCCP, UDP-Lite; of ICMP echo the identifier, in both; 0 otherwise */
    __be16 destination_port;
    __u8 version;     /* 4 or 6 */
    __u8 next_header; /* as in the IP header itself */
    __u8 protocol;    /* of the header after the extension headers */
    __u8 fragment;    /* enum packet_fragment */
};

struct packet_ethernet {
    __be16 ends[6];
    __be16 protocol;
};

struct packet_vlan {
    __be16 tci;
    __be16 protocol;
};

struct packet_extension {
    __u8 next;
    __u8 length;
    __be16 fragment; /* this and the next only in the fragment header */
    __be32 id;
};

/*
 * Bytes [offset, offset + size) of the packet: in place if they are in its linear part, as in nearly all packets,
 * otherwise copied to `buffer`; null if the packet is shorter.
 */
static __always_inline const void* packet_bytes(struct __sk_buff* skb, __u32 offset, void* buffer, __u32 size) {
    const void* data = (const void*)(long)skb->data + (offset & PACKET_OFFSETS);
    const void* end = (const void*)(long)skb->data_end;
    if (data + size <= end) return data;
    if (bpf_skb_load_bytes(skb, offset, buffer, size) == 0) return buffer;
    return 0;
}

static __always_inline int packet_is_vlan(__be16 protocol) {
    return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* Devices with an Ethernet header. Fills in `network` and `version`. */
static __always_inline int packet_find_ip(struct __sk_buff* skb, struct packet* packet) {
    struct packet_ethernet buffer;
    const struct packet_ethernet* ethernet = packet_bytes(skb, 0, &buffer, sizeof buffer);
    if (!ethernet) return PACKET_TRUNCATED;

    __u32 offset = ETH_HLEN;
    /* From the frame, not skb->protocol, which a raw frame can set to any value. */
    __be16 protocol = ethernet->protocol;
    packet->network = offset;
    packet->version = 6;
    if (protocol == bpf_htons(ETH_P_IPV6)) return PACKET_OK;
#pragma unroll
    for (int i = 0; i < PACKET_MAX_VLAN_TAGS; ++i) {
        if (!packet_is_vlan(protocol)) break;
        struct packet_vlan tag_buffer;
        const struct packet_vlan* tag = packet_bytes(skb, offset, &tag_buffer, sizeof tag_buffer);
        if (!tag) return PACKET_TRUNCATED;
        protocol = tag->protocol;
        offset += sizeof(struct packet_vlan);
    }
    packet->network = offset;
    if (protocol == bpf_htons(ETH_P_IPV6)) return PACKET_OK;
    packet->version = 4;
    if (protocol == bpf_htons(ETH_P_IP)) return PACKET_OK;
    return packet_is_vlan(protocol) ? PACKET_DEEP_VLAN : PACKET_NOT_IP;
}

/* Devices without a link-layer header: the packet begins with its IP header. Fills in `network` and `version`. */
static __always_inline int packet_find_raw_ip(struct __sk_buff* skb, struct packet* packet) {
    __u8 buffer;
    const __u8* first = packet_bytes(skb, 0, &buffer, sizeof buffer);
    if (!first) return PACKET_TRUNCATED;
    packet->network = 0;
    packet->version = *first >> 4;
    return packet->version == 4 || packet->version == 6 ? PACKET_OK : PACKET_NOT_IP;
}

/* Whether a protocol is in a set: of comparisons with each one the verifier would follow each result separately. */
static __always_inline int packet_is_in(__u64 below_64, __u64 from_128, __u8 protocol) {
    return !(protocol & 64) && ((protocol < 64 ? below_64 : from_128) >> (protocol & 63) & 1);
}

static __always_inline int packet_has_ports(__u8 protocol) {
    return packet_is_in(1ull << IPPROTO_TCP | 1ull << IPPROTO_UDP | 1ull << IPPROTO_DCCP,
                        1ull << (IPPROTO_SCTP - 128) | 1ull << (PACKET_IPPROTO_UDPLITE - 128), protocol);
}

static __always_inline int packet_is_extension(__u8 protocol) {
    return packet_is_in(1ull << IPPROTO_HOPOPTS | 1ull << IPPROTO_ROUTING | 1ull << PACKET_IPPROTO_FRAGMENT |
                            1ull << IPPROTO_AH | 1ull << IPPROTO_DSTOPTS,
                        1ull << (IPPROTO_MH - 128), protocol);
}

/* `protocol` and `transport` are set: finds the ports, or the ICMP identifier. */
static __always_inline int packet_parse_ports(struct __sk_buff* skb, struct packet* packet) {
    packet->source_port = 0;
    packet->destination_port = 0;
    if (packet->fragment == PACKET_LATER_FRAGMENT) return PACKET_OK;
    if (packet_has_ports(packet->protocol)) {
        __be16 buffer[2];
        const __be16* ports = packet_bytes(skb, packet->transport, buffer, sizeof buffer);
        if (!ports) return PACKET_TRUNCATED;
        packet->source_port = ports[0];
        packet->destination_port = ports[1];
    } else if (packet->protocol == IPPROTO_ICMP || packet->protocol == PACKET_IPPROTO_ICMPV6) {
        struct {
            __u8 type;
            __u8 code;
            __be16 checksum;
            __be16 identifier;
        } icmp;
        /* The shortest message has four bytes and no identifier. */
        if (bpf_skb_load_bytes(skb, packet->transport, &icmp, sizeof icmp) < 0) return PACKET_OK;
        /* RFC 4443 section 4, RFC 792: echo request and reply. */
        const int is_echo =
            packet->protocol == IPPROTO_ICMP ? icmp.type == 8 || icmp.type == 0 : icmp.type == 128 || icmp.type == 129;
        if (is_echo) packet->source_port = packet->destination_port = icmp.identifier;
    }
    return PACKET_OK;
}

/* The flags of a TCP header; 0: the packet does not contain them. */
static __always_inline __u8 packet_tcp_flags(struct __sk_buff* skb, const struct packet* packet) {
    __u8 buffer;
    if (packet->protocol != IPPROTO_TCP || packet->fragment == PACKET_LATER_FRAGMENT) return 0;
    const __u8* flags = packet_bytes(skb, packet->transport + PACKET_TCP_FLAGS, &buffer, sizeof buffer);
    return flags ? *flags : 0;
}

/* Passes the extension header at `transport`, of type `protocol`. A separate function, which the verifier checks once. */
__attribute__((noinline)) int packet_pass_extension(struct __sk_buff* skb, struct packet* packet) {
    struct packet_extension extension;
    if (!packet || bpf_skb_load_bytes(skb, packet->transport, &extension, sizeof extension) < 0) return PACKET_TRUNCATED;
    const __u8 type = packet->protocol;
    packet->protocol = extension.next;
    if (type == IPPROTO_AH)
        packet->transport += ((__u32)extension.length + 2) * 4; /* RFC 4302 section 2.2 */
    else if (type != PACKET_IPPROTO_FRAGMENT)
        packet->transport += ((__u32)extension.length + 1) * 8;
    else
        packet->transport += 8;
    /* Offset or M flag; if both are 0 it is a whole datagram (RFC 6946). */
    if (type == PACKET_IPPROTO_FRAGMENT && (extension.fragment & bpf_htons(0xfff9))) {
        packet->fragment_id = extension.id;
        packet->fragment = extension.fragment & bpf_htons(0xfff8) ? PACKET_LATER_FRAGMENT : PACKET_FIRST_FRAGMENT;
    }
    return PACKET_OK;
}

/*
 * From the header after the IPv6 header to the last of its extension headers. payload_len is ignored: in a BIG TCP packet
 * it is 0, with or without a hop-by-hop jumbo option. A separate function: the verifier forgets what a packet's members are
 * behind a pointer, and so does not follow each kind of packet separately.
 */
__attribute__((noinline)) int packet_walk_extensions(struct __sk_buff* skb, struct packet* packet) {
    if (!packet) return PACKET_TRUNCATED;
    for (int i = 0; i < PACKET_MAX_EXTENSION_HEADERS; ++i) {
        if (!packet_is_extension(packet->protocol)) return PACKET_OK;
        if (packet_pass_extension(skb, packet) != PACKET_OK) return PACKET_TRUNCATED;
        /* The bytes that follow are the middle of the datagram. */
        if (packet->fragment == PACKET_LATER_FRAGMENT) return PACKET_OK;
    }
    return packet_is_extension(packet->protocol) ? PACKET_DEEP_HEADERS : PACKET_OK;
}

/* `ip` is the header at packet->network. 0: it is not an IPv6 header. */
static __always_inline int packet_take_ipv6(struct packet* packet, const struct ipv6hdr* ip) {
    const __u64* addresses = (const __u64*)&ip->saddr;
    packet->word = bpf_ntohl(*(const __be32*)ip);
    packet->source[0] = addresses[0];
    packet->source[1] = addresses[1];
    packet->destination[0] = addresses[2];
    packet->destination[1] = addresses[3];
    packet->transport = packet->network + sizeof(struct ipv6hdr);
    packet->next_header = ip->nexthdr;
    packet->protocol = ip->nexthdr;
    packet->fragment = PACKET_WHOLE;
    packet->fragment_id = 0;
    return packet->word >> 28 == 6;
}

static __always_inline int packet_parse_ipv6(struct __sk_buff* skb, struct packet* packet) {
    struct ipv6hdr buffer;
    const struct ipv6hdr* ip = packet_bytes(skb, packet->network, &buffer, sizeof buffer);
    if (!ip) return PACKET_TRUNCATED;
    if (!packet_take_ipv6(packet, ip)) return PACKET_NOT_IP;
    return packet_is_extension(packet->protocol) ? packet_walk_extensions(skb, packet) : PACKET_OK;
}

/*
 * Nearly all packets: IPv6, TCP or UDP, no extension header, with a known offset `network`, all headers in the linear
 * part. 1: `packet` is filled in. 0: the functions above and below have to parse it.
 */
static __always_inline int packet_parse_plain_ipv6(struct __sk_buff* skb, __u32 network, struct packet* packet) {
    const struct {
        struct ipv6hdr ip;
        __be16 ports[2];
    }* header = (const void*)(long)skb->data + network;
    if ((const void*)(header + 1) > (const void*)(long)skb->data_end) return 0;
    if (header->ip.nexthdr != IPPROTO_TCP && header->ip.nexthdr != IPPROTO_UDP) return 0;
    packet->network = network;
    packet->version = 6;
    packet->source_port = header->ports[0];
    packet->destination_port = header->ports[1];
    return packet_take_ipv6(packet, &header->ip);
}

/* The EtherType of an Ethernet header in the linear part, in network order; 0 if there is none. */
static __always_inline __be16 packet_plain_type(struct __sk_buff* skb) {
    const struct packet_ethernet* ethernet = (const void*)(long)skb->data;
    return (const void*)(ethernet + 1) > (const void*)(long)skb->data_end ? 0 : ethernet->protocol;
}

static __always_inline int packet_parse_ipv4(struct __sk_buff* skb, struct packet* packet) {
    struct iphdr buffer;
    const struct iphdr* ip = packet_bytes(skb, packet->network, &buffer, sizeof buffer);
    if (!ip) return PACKET_TRUNCATED;

    packet->word = bpf_ntohl(*(const __be32*)ip);
    const __u32 length = (packet->word >> 24 & 0xf) * 4;
    if (packet->word >> 28 != 4 || length < sizeof(struct iphdr)) return PACKET_NOT_IP;
    packet->source[0] = 0;
    packet->source[1] = bpf_cpu_to_be64(0xffff00000000ull | bpf_ntohl(ip->saddr));
    packet->destination[0] = 0;
    packet->destination[1] = bpf_cpu_to_be64(0xffff00000000ull | bpf_ntohl(ip->daddr));
    packet->transport = packet->network + length;
    packet->next_header = ip->protocol;
    packet->protocol = ip->protocol;
    packet->fragment = PACKET_WHOLE;
    packet->fragment_id = ip->id;
    if (ip->frag_off & bpf_htons(0x1fff))
        packet->fragment = PACKET_LATER_FRAGMENT;
    else if (ip->frag_off & bpf_htons(0x2000))
        packet->fragment = PACKET_FIRST_FRAGMENT;
    return PACKET_OK;
}

/* After packet_find_ip or packet_find_raw_ip: parses the rest. */
static __always_inline int packet_parse(struct __sk_buff* skb, struct packet* packet) {
    const int found = packet->version == 6 ? packet_parse_ipv6(skb, packet) : packet_parse_ipv4(skb, packet);
    return found == PACKET_OK ? packet_parse_ports(skb, packet) : found;
}

/* Returns whether the source is the key's low end. */
static __always_inline int packet_flow_key(const struct packet* packet, struct flow_key* key) {
    return flow_key_make(key, packet->source, packet->destination, packet->source_port, packet->destination_port,
                         packet->protocol);
}

#endif
