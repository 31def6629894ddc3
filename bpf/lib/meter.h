/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts a packet for its flow, and reports when a flow begins and ends. docs/metering.md defines bytes and flows. */
#ifndef FLOWD_BPF_LIB_METER_H
#define FLOWD_BPF_LIB_METER_H

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/meter_table.h"
#include "bpf/lib/parse.h"
#include "bpf/meter_types.h"

#define METER_TCP_FIN 0x01u
#define METER_TCP_SYN 0x02u
#define METER_TCP_RST 0x04u
#define METER_TCP_ACK 0x10u

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, METER_OUTCOMES * 2);
    __type(key, __u32);
    __type(value, struct meter_count);
} meter_counts SEC(".maps");

/*
 * The process that runs on this CPU, as a number that is unique while it lives, in every pid namespace; 0: unknown. The
 * address of its first task. For the offset user space reads one type: to relocate an access (CO-RE), libbpf reads all
 * types of the kernel, which takes longer than the rest of a load.
 */
static __always_inline __u64 meter_process(void) {
    __u64 leader = 0;
    if (!meter_config.leader) return 0;
    bpf_probe_read_kernel(&leader, sizeof leader, (const char*)bpf_get_current_task() + meter_config.leader);
    return leader;
}

/* The size of a packet on the wire, and the contents of its transport header. */
struct meter_packet {
    __u64 payload; /* layer 4, without headers and padding */
    __u64 frame;   /* all segments, each with its headers */
    __u32 segments;
    __u32 tcp_flags;
    __u32 sequence; /* of TCP, as it stands in the packet */
    __u32 reserved; /* the verifier wants every byte set of what another function gets */
};

/* The frame's size, before the packet is parsed. */
static __always_inline void meter_weigh_frame(struct __sk_buff* skb, struct meter_packet* packet) {
    /* A VLAN tag that the kernel keeps outside of the packet is in the frame on the wire. */
    packet->frame = skb->len + (skb->vlan_present ? 4 : 0);
    packet->segments = skb->gso_segs > 1 ? skb->gso_segs : 1;
    packet->payload = 0;
    packet->tcp_flags = 0;
    packet->sequence = 0;
    packet->reserved = 0;
}

/* Returns 0 if the packet ends before its headers do. */
static __always_inline int meter_weigh(struct __sk_buff* skb, const struct packet* ip, struct meter_packet* packet) {
    __u32 header = 8; /* UDP */
    if (ip->protocol == IPPROTO_TCP) {
        struct {
            __be16 ports[2];
            __be32 sequence;
            __be32 acknowledgement;
            __u8 offset;
            __u8 flags;
            __be16 window;
        } buffer;
        const typeof(buffer)* tcp = packet_bytes(skb, ip->transport, &buffer, sizeof buffer);
        if (!tcp) return 0;
        header = (tcp->offset >> 4) * 4;
        packet->tcp_flags = tcp->flags;
        packet->sequence = tcp->sequence;
    }
    __u32 length = skb->len - ip->network;
    const __u32 gso_size = skb->gso_size;
    if (!gso_size) {
        /* A short Ethernet frame is padded: use the length of the IP header, if it has one (BIG TCP has not). */
        __u32 said = ip->word & 0xffff;
        if (ip->version == 6) {
            __be16 buffer;
            const __be16* payload = packet_bytes(skb, ip->network + 4, &buffer, sizeof buffer);
            if (!payload) return 0;
            said = *payload ? bpf_ntohs(*payload) + sizeof(struct ipv6hdr) : 0;
        }
        if (said && said < length) length = said;
    }
    const __u32 headers = ip->transport - ip->network + header;
    packet->payload = length > headers ? length - headers : 0;
    if (gso_size) {
        if (!skb->gso_segs) packet->segments = (packet->payload + gso_size - 1) / gso_size; /* of an untrusted guest */
        if (!packet->segments) packet->segments = 1;
        packet->frame += (__u64)(packet->segments - 1) * (ip->transport + header);
    }
    return 1;
}

/* Link-local, loopback or unspecified; multicast. Words in network order. */
static __always_inline int meter_is_noise(const __u64 address[2]) {
    if (address[0] == 0) {
        const __u64 low = bpf_be64_to_cpu(address[1]);
        if (low >> 32 != 0xffff) return low <= 1; /* :: and ::1 */
        const __u32 v4 = (__u32)low;
        return v4 == 0 || v4 == 0xffffffff || v4 >> 24 == 127 || v4 >> 28 == 14 || v4 >> 16 == 0xa9fe;
    }
    const __u32 first = (__u32)(bpf_be64_to_cpu(address[0]) >> 48);
    return first >> 8 == 0xff || (first & 0xffc0) == 0xfe80;
}

/* Whether a packet of an unknown flow opens a flow. */
static __always_inline int meter_opens(const struct packet* ip, const struct meter_packet* packet) {
    if (ip->protocol == IPPROTO_UDP) return 1;
    if (packet->tcp_flags & METER_TCP_SYN) return 1;
    /* A connection older than the meter, seen in its middle. A packet without payload may be the last one of a connection
     * that has ended. */
    return packet->payload != 0 && !(packet->tcp_flags & (METER_TCP_FIN | METER_TCP_RST));
}

static __always_inline __u32 meter_opening_flags(const struct packet* ip, const struct meter_packet* packet,
                                                 __u32 direction, int source_is_low) {
    __u32 flags = source_is_low == (direction == METER_OUT) ? METER_LOCAL_IS_LOW : 0;
    int opened_out = direction == METER_OUT;
    if (ip->protocol == IPPROTO_TCP) {
        if (packet->tcp_flags & METER_TCP_SYN) flags |= METER_OPENING_SEEN;
        if (packet->tcp_flags & METER_TCP_ACK && packet->tcp_flags & METER_TCP_SYN) opened_out = !opened_out;
    } else {
        flags |= METER_OPENING_SEEN;
    }
    return flags | (opened_out ? METER_OPENED_OUT : 0);
}

/* A SYN with the tuple of a known flow: whether it is another connection, not a retransmission. */
static __always_inline int meter_replaces(const struct meter_flow* flow, const struct meter_packet* packet) {
    if ((packet->tcp_flags & (METER_TCP_SYN | METER_TCP_ACK)) != METER_TCP_SYN) return 0;
    if (flow->flags & METER_OPENING_SEEN && flow->isn == packet->sequence) return 0;
    return flow->flags & METER_ENDED || flow->bytes[METER_OUT] || flow->bytes[METER_IN];
}

static __always_inline void meter_end(struct meter_flow* flow, __u32 slot, __u32 why) {
    if (flow->flags & METER_ENDED) {
        __sync_fetch_and_or(&flow->flags, why);
        return;
    }
    flow->end_ns = bpf_ktime_get_ns();
    if (!(__sync_fetch_and_or(&flow->flags, why | METER_ENDED) & METER_ENDED)) meter_tell(slot, METER_EVENT_ENDED);
}

static __always_inline void meter_follow_tcp(struct meter_flow* flow, __u32 slot, const struct meter_packet* packet,
                                             __u32 direction) {
    if (packet->tcp_flags & METER_TCP_RST) return meter_end(flow, slot, METER_RESET);
    if (!(packet->tcp_flags & METER_TCP_FIN)) return;
    const __u32 fin = direction == METER_OUT ? METER_FIN_OUT : METER_FIN_IN;
    const __u32 both = METER_FIN_OUT | METER_FIN_IN;
    if (((__sync_fetch_and_or(&flow->flags, fin) | fin) & both) == both) meter_end(flow, slot, 0);
}

/*
 * Whether the daemon itself sends this. User space recognises live sockets of the daemon; a socket that is closed again
 * soon (a query of the resolver) is recognised by the sender of its first packet: for a datagram or a SYN, this code
 * runs on the thread that sent it; for later packets, on whichever thread an acknowledgement interrupts.
 */
static __always_inline int meter_sent_by_daemon(const struct meter_flow* flow, __u32 tcp_flags, __u64 cookie) {
    if (!cookie || flow->packets[METER_OUT] > 1 || flow->packets[METER_IN]) return 0;
    if (flow->key.protocol == IPPROTO_TCP && (tcp_flags & (METER_TCP_SYN | METER_TCP_ACK)) != METER_TCP_SYN) return 0;
    const struct meter_state* state = meter_state_get();
    return state && state->daemon && state->daemon == meter_process();
}

/*
 * The functions below that are neither static nor inline are verified once, for any argument. If they were inlined, the
 * verifier would follow every path through the one for every path through the other.
 */

/* The first packets of a flow: was one sent, and is the flow large enough? Returns the events to report. */
__noinline int meter_judge(struct __sk_buff* skb, struct meter_flow* flow, __u32 direction, __u32 tcp_flags) {
    if (!flow) return 0;
    if (direction == METER_OUT && !(tcp_flags & METER_TCP_RST) && !(flow->flags & METER_SENT)) {
        const __u64 cookie = bpf_get_socket_cookie(skb);
        if (!flow->cookie) flow->cookie = cookie;
        __sync_fetch_and_or(&flow->flags,
                            meter_sent_by_daemon(flow, tcp_flags, cookie) ? METER_SENT | METER_OWN : METER_SENT);
    }
    if (!(flow->flags & METER_SENT)) return 0;
    const struct meter_state* state = meter_state_get();
    if (!state || flow->packets[METER_OUT] + flow->packets[METER_IN] < state->min_packets ||
        flow->bytes[METER_OUT] + flow->bytes[METER_IN] < state->min_bytes)
        return 0;
    return __sync_fetch_and_or(&flow->flags, METER_WORTHY) & METER_WORTHY ? 0 : METER_EVENT_WORTHY;
}

static __always_inline void meter_add(struct meter_flow* flow, const struct meter_packet* packet, __u32 direction,
                                      __u32 ifindex) {
    /* Both hooks and several queues may process one flow at the same time. */
    if (direction == METER_OUT) {
        __sync_fetch_and_add(&flow->packets[METER_OUT], packet->segments);
        if (packet->payload) __sync_fetch_and_add(&flow->bytes[METER_OUT], packet->payload);
    } else {
        __sync_fetch_and_add(&flow->packets[METER_IN], packet->segments);
        if (packet->payload) __sync_fetch_and_add(&flow->bytes[METER_IN], packet->payload);
    }
    flow->last_ns = bpf_ktime_get_coarse_ns();
    flow->ifindex = ifindex;
}

/* A TCP or UDP packet with its ports. Returns its outcome. */
__noinline int meter_flow_packet(struct __sk_buff* skb, const struct packet* ip, const struct meter_packet* packet,
                                 __u32 direction) {
    struct meter_opening opening = {};
    if (!ip || !packet) return METER_UNREADABLE;
    const int source_is_low = packet_flow_key(ip, &opening.key);
    const __u64 hash = flow_hash(&opening.key);
    const __u32 mask = meter_config.bucket_mask;
    __u32 slot = 0;
    __u32 events = 0;

    opening.tag = meter_tag(hash);
    struct meter_flow* flow = meter_find_in(meter_first_bucket(hash, mask), opening.tag, &opening.key, &slot);
    if (!flow) flow = meter_find_in(meter_second_bucket(hash, mask), opening.tag, &opening.key, &slot);
    if (flow && meter_replaces(flow, packet)) {
        meter_end(flow, slot, METER_REPLACED);
        meter_hide(slot, opening.tag);
        flow = 0;
    }
    if (!flow) {
        if (!ip->source_port || !ip->destination_port || meter_is_noise(ip->source) || meter_is_noise(ip->destination))
            return METER_NOISE;
        if (!meter_opens(ip, packet)) return METER_UNOPENED;
        __u32 entered = 0;
        opening.flags = meter_opening_flags(ip, packet, direction, source_is_low);
        opening.isn = packet->sequence;
        opening.ifindex = skb->ifindex;
        const __u32 number = meter_enter(&opening, hash, direction, &slot, &entered);
        flow = bpf_map_lookup_elem(&meter_flows, &number);
        if (!flow) return METER_NO_ROOM;
        if (entered) events = METER_EVENT_ENTERED;
    }
    /* A forwarded packet passes twice, in and out; the hook that saw its flow first counts it. A flow that another CPU is
     * adding at this moment cannot have been forwarded yet. */
    const __u32 flags = flow->flags;
    if ((flags & METER_ENTERED) && source_is_low != (!!(flags & METER_LOCAL_IS_LOW) == (direction == METER_OUT)))
        return METER_ELSEWHERE;

    meter_add(flow, packet, direction, skb->ifindex);
    if (!(flags & METER_WORTHY)) events |= meter_judge(skb, flow, direction, packet->tcp_flags);
    if (events) meter_tell(slot, events);
    if (packet->tcp_flags & (METER_TCP_FIN | METER_TCP_RST)) meter_follow_tcp(flow, slot, packet, direction);
    return METER_METERED;
}

/* Finds the headers of a packet. METER_METERED: it is a TCP or UDP packet for meter_flow_packet. */
__noinline int meter_read(struct __sk_buff* skb, struct packet* ip, struct meter_packet* packet, __u32 has_ethernet) {
    if (!ip || !packet) return METER_UNREADABLE;
    int found = has_ethernet ? packet_find_ip(skb, ip) : packet_find_raw_ip(skb, ip);
    if (found == PACKET_OK) found = packet_parse(skb, ip);
    if (found == PACKET_NOT_IP) return METER_NOT_IP;
    if (found != PACKET_OK) return METER_UNREADABLE;
    if (ip->fragment == PACKET_LATER_FRAGMENT) return METER_FRAGMENT;
    if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
        return ip->protocol == IPPROTO_ICMP || ip->protocol == PACKET_IPPROTO_ICMPV6 ? METER_ICMP : METER_OTHER_PROTOCOL;
    return meter_weigh(skb, ip, packet) ? METER_METERED : METER_UNREADABLE;
}

/* `has_ethernet`, `direction`: constants. */
static __always_inline void meter_packet(struct __sk_buff* skb, __u32 has_ethernet, __u32 direction) {
    struct packet ip = {};
    struct meter_packet packet;
    meter_weigh_frame(skb, &packet);
    __u32 outcome = (__u32)meter_read(skb, &ip, &packet, has_ethernet);
    if (outcome == METER_METERED) outcome = (__u32)meter_flow_packet(skb, &ip, &packet, direction);

    const __u32 index = outcome * 2 + direction;
    struct meter_count* count = bpf_map_lookup_elem(&meter_counts, &index);
    if (!count) return;
    count->packets += packet.segments;
    count->bytes += packet.frame;
}

#endif
