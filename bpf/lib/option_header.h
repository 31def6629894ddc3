/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tags in an IPv6 extension header: hop-by-hop options, destination options, or both. Encoded as in flowd-go,
 * because there is no public specification: 8 bytes, the option 0x1e (RFC 3692-style experiment, RFC 4727: skip if unknown)
 * of three bytes, experiment << 8 | activity, then Pad1.
 */
#ifndef FLOWD_BPF_LIB_OPTION_HEADER_H
#define FLOWD_BPF_LIB_OPTION_HEADER_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/parse.h"
#include "bpf/marker_types.h"

#define OPTION_HEADER_TYPE 0x1e
#define OPTION_HEADER_LENGTH 3

struct option_header {
    __u8 next;
    __u8 length; /* in units of 8 bytes, not counting the first (RFC 8200 section 4.3) */
    __u8 type;
    __u8 option_length;
    __u8 tag[3];
    __u8 pad;
};

/* The second word of an IPv6 header. */
struct option_header_ip_word {
    __be16 payload_length;
    __u8 next;
    __u8 hop_limit;
};

static __always_inline void option_header_fill(struct option_header* header, __u8 next, __u32 tag) {
    header->next = next;
    header->length = 0;
    header->type = OPTION_HEADER_TYPE;
    header->option_length = OPTION_HEADER_LENGTH;
    header->tag[0] = tag >> 16;
    header->tag[1] = tag >> 8;
    header->tag[2] = tag;
    header->pad = 0;
}

/*
 * The number of bytes by which TCP segments are shortened; at least the length of the inserted headers.
 *
 * A Linux router that merges segments (GRO) and forwards them computes their length from a wrong TCP header: ip6_rcv sets
 * the transport header to what follows the hop-by-hop options, and the forwarding path does not parse destination options.
 * The byte that it reads as data offset is then part of the sequence number: a header length of up to 60 bytes. It answers
 * segments that are too long by that computation with Packet Too Big, also when they are retransmitted. Therefore segments
 * are kept short enough for the largest data offset.
 */
static __always_inline __u32 option_header_reduction(struct __sk_buff* skb, const struct packet* packet, __u32 carriers,
                                                     __u32 room) {
    if (!(carriers & MARKER_CARRIER_DESTINATION)) return room;
    if (packet->protocol != IPPROTO_TCP || packet->fragment == PACKET_LATER_FRAGMENT) return room;
    __u8 data_offset;
    if (bpf_skb_load_bytes(skb, packet->transport + 12, &data_offset, 1) < 0) return room;
    const __u32 before = room - sizeof(struct option_header); /* hop-by-hop options */
    const __u32 reduction = before + 60 - (data_offset >> 4) * 4;
    return reduction > room ? reduction : room;
}

/*
 * Whether a whole packet still fits with `room` more bytes. For TCP the device's MTU is not sufficient: the path MTU is in
 * the socket's segment size, and every retransmission of a larger packet would be answered with Packet Too Big.
 */
static __always_inline int option_header_fits_path(struct __sk_buff* skb, const struct packet* packet, __u32 room) {
    if (packet->protocol != IPPROTO_TCP || packet->fragment == PACKET_LATER_FRAGMENT) return 1;
    struct bpf_sock* sock = skb->sk;
    if (!sock) return 1;
    sock = bpf_sk_fullsock(sock);
    if (!sock) return 1;
    const struct bpf_tcp_sock* tcp = bpf_tcp_sock(sock);
    if (!tcp) return 1;
    __u8 data_offset;
    if (bpf_skb_load_bytes(skb, packet->transport + 12, &data_offset, 1) < 0) return 0;
    return skb->len - packet->transport - (data_offset >> 4) * 4 + room <= tcp->mss_cache;
}

/* MARKER_OUTCOMES: it fits, with these flags for bpf_skb_adjust_room; otherwise the outcome that says why not. */
static __always_inline __u32 option_header_fits(struct __sk_buff* skb, const struct packet* packet, __u32 room,
                                                __u32 reduction, __u64* flags) {
    __u32 mtu = 0;
    const long fits = bpf_check_mtu(skb, 0, &mtu, (__s32)room, 0);
    if (fits < 0) return MARKER_HEADER_REFUSED;
    const __u32 segment = skb->gso_size;
    *flags = 0;
    if (segment == 0)
        return fits == 0 && option_header_fits_path(skb, packet, reduction) ? MARKER_OUTCOMES : MARKER_NO_ROOM;
    /* TCP segments are made smaller by the kernel (include/uapi/linux/bpf.h, bpf_skb_adjust_room). */
    if (packet->protocol == IPPROTO_TCP) return segment > reduction ? MARKER_OUTCOMES : MARKER_NO_ROOM;
    /* UDP segments are datagrams, whose size the application chose; the helper above does not consider them. */
    *flags = BPF_F_ADJ_ROOM_FIXED_GSO;
    if (packet->protocol != IPPROTO_UDP) return MARKER_HEADER_REFUSED;
    return packet->transport - packet->network + 8 + segment + room <= mtu ? MARKER_OUTCOMES : MARKER_NO_ROOM;
}

/* MARKER_OUTCOMES: it may be inserted; otherwise the outcome that says why not. */
static __always_inline __u32 option_header_allowed(struct __sk_buff* skb, const struct packet* packet, __u16 payload_length,
                                                   __u32 room) {
    if (payload_length == 0 && packet->protocol != 59) return MARKER_BIG_PACKET;
    if ((__u32)payload_length + room > 0xffff) return MARKER_NO_ROOM;
    /* It must be the first header, and there is one already. */
    if (packet->next_header == IPPROTO_HOPOPTS) return MARKER_HAS_HEADER;
    if (packet->next_header == IPPROTO_DSTOPTS) {
        struct option_header present;
        if (bpf_skb_load_bytes(skb, packet->network + sizeof(struct ipv6hdr), &present, sizeof present) < 0)
            return MARKER_TRUNCATED;
        if (present.type == OPTION_HEADER_TYPE && present.option_length == OPTION_HEADER_LENGTH) return MARKER_HAS_HEADER;
    }
    /* Neighbour discovery (RFC 4861) gets no extension header: filters (RFC 6105, RFC 7113) may not find it behind one. */
    if (packet->protocol == PACKET_IPPROTO_ICMPV6 && packet->fragment == PACKET_WHOLE) {
        __u8 type = 0;
        if (bpf_skb_load_bytes(skb, packet->transport, &type, 1) < 0) return MARKER_TRUNCATED;
        if (type != 128 && type != 129) return MARKER_CONTROL_MESSAGE;
    }
    return MARKER_OUTCOMES;
}

/*
 * MARKER_OUTCOMES: done; otherwise the outcome that says why not, and the packet is unchanged. A separate function because
 * of its stack: functions that call each other share 512 bytes.
 */
__attribute__((noinline)) int option_header_insert(struct __sk_buff* skb, const struct packet* packet, __u32 carriers,
                                                   __u32 tag) {
    if (!packet) return MARKER_HEADER_REFUSED;
    const int both = (carriers & MARKER_CARRIER_HEADERS) == MARKER_CARRIER_HEADERS;
    const __u32 room = both ? 2 * sizeof(struct option_header) : sizeof(struct option_header);
    struct option_header_ip_word word;
    if (bpf_skb_load_bytes(skb, packet->network + 4, &word, sizeof word) < 0) return MARKER_TRUNCATED;
    const __u16 payload_length = bpf_ntohs(word.payload_length);
    const __u32 allowed = option_header_allowed(skb, packet, payload_length, room);
    if (allowed != MARKER_OUTCOMES) return allowed;
    __u64 flags = 0;
    const __u32 reduction = option_header_reduction(skb, packet, carriers, room);
    const __u32 fits = option_header_fits(skb, packet, room, reduction, &flags);
    if (fits != MARKER_OUTCOMES) return fits;

    struct option_header headers[2];
    const __u8 own = carriers & MARKER_CARRIER_HOP_BY_HOP ? IPPROTO_HOPOPTS : IPPROTO_DSTOPTS;
    option_header_fill(&headers[0], both ? IPPROTO_DSTOPTS : packet->next_header, tag);
    option_header_fill(&headers[1], packet->next_header, tag);
    word.payload_length = bpf_htons(payload_length + room);
    word.next = own;

    /* Room that is added reduces the segment size; room that is removed need not increase it. */
    const __u32 spare = skb->gso_size && !flags ? reduction - room : 0;
    if (bpf_skb_adjust_room(skb, (__s32)(room + spare), BPF_ADJ_ROOM_NET, flags) < 0) return MARKER_HEADER_REFUSED;
    if (spare && bpf_skb_adjust_room(skb, -(__s32)spare, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO) < 0) {
        bpf_skb_adjust_room(skb, -(__s32)(room + spare), BPF_ADJ_ROOM_NET, flags);
        return MARKER_HEADER_REFUSED;
    }
    if (bpf_skb_store_bytes(skb, packet->network + sizeof(struct ipv6hdr), headers, room, 0) == 0 &&
        bpf_skb_store_bytes(skb, packet->network + 4, &word, sizeof word, 0) == 0)
        return MARKER_OUTCOMES;
    bpf_skb_adjust_room(skb, -(__s32)room, BPF_ADJ_ROOM_NET, flags);
    return MARKER_WRITE_FAILED;
}

#endif
