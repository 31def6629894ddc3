// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The marker among many flows, for its benchmark. Programs of the first kind look flows up, many in one run, in the
 * marker's table, in the kernel's hash and in the storage of sockets. Those of the second kind make of the frame a packet
 * of another flow in each run, and then do with it what the marker does. Beside each kind the same without what is
 * measured. Never attached.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/marker.bpf.c"
#include "tests/bench/look_up.h"

/* Maps of one entry are sized anew before loading. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct flow_key);
    __type(value, struct marker_mark);
} kernel_flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} sockets SEC(".maps");

/* Where the next run goes on. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct look_up_place);
} places SEC(".maps");

static __always_inline struct look_up_place* place_get(void) {
    const __u32 only = 0;
    return bpf_map_lookup_elem(&places, &only);
}

#define DRAW 0
#define KERNEL_HASH 1
#define TABLE 2

/* How many were not found. */
static __always_inline int look_up(int how) {
    struct look_up_place* place = place_get();
    if (!place) return LOOK_UPS;
    int missing = 0;
    for (int i = 0; i < LOOK_UPS; ++i) {
        struct flow_key key;
        look_up_key(&key, look_up_next(place));
        const __u64 hash = flow_hash(&key);
        struct marker_mark mark = {};
        if (how == KERNEL_HASH) {
            const struct marker_mark* found = bpf_map_lookup_elem(&kernel_flows, &key);
            if (!found) ++missing;
        } else if (how == TABLE) {
            if (!flow_table_find(&key, hash, 0, &mark)) ++missing;
        } else if (hash == 0) {
            ++missing;
        }
    }
    return missing;
}

SEC("tc")
int draw(struct __sk_buff* skb) {
    (void)skb;
    return look_up(DRAW);
}

SEC("tc")
int kernel_hash(struct __sk_buff* skb) {
    (void)skb;
    return look_up(KERNEL_HASH);
}

SEC("tc")
int table(struct __sk_buff* skb) {
    (void)skb;
    return look_up(TABLE);
}

/* A packet comes with its socket, which the kernel has just worked on: getting at that is not part of the figure. */
static __always_inline int look_at_sockets(int with_storage) {
    struct look_up_place* place = place_get();
    if (!place) return LOOK_UPS;
    int missing = 0;
    for (int i = 0; i < LOOK_UPS; ++i) {
        const __u32 next = look_up_next(place);
        struct bpf_sock* sock = bpf_map_lookup_elem(&sockets, &next);
        if (!sock) return LOOK_UPS;
        if (with_storage) {
            const struct socket_tag* tag = bpf_sk_storage_get(&socket_tags, sock, 0, 0);
            if (!tag || tag->experiment == 0) ++missing;
        } else if (sock->family == 0) {
            ++missing;
        }
        bpf_sk_release(sock);
    }
    return missing;
}

SEC("tc")
int reach_socket(struct __sk_buff* skb) {
    (void)skb;
    return look_at_sockets(0);
}

SEC("tc")
int socket_storage(struct __sk_buff* skb) {
    (void)skb;
    return look_at_sockets(1);
}

#define FRAME_NETWORK (ETH_HLEN + 24 + 6) /* of the destination's address */
#define FRAME_PORTS (ETH_HLEN + 40)

/* 0: the frame is none. */
static __always_inline int draw_packet(struct __sk_buff* skb, int known) {
    struct look_up_place* place = place_get();
    void* data = (void*)(long)skb->data;
    if (!place || data + FRAME_PORTS + 4 > (void*)(long)skb->data_end) return 0;
    const __u32 next = look_up_next(place);
    *(__u16*)(data + FRAME_NETWORK) = look_up_network(next);
    *(__u16*)(data + FRAME_PORTS) = look_up_source_port(next);
    *(__u16*)(data + FRAME_PORTS + 2) = known ? LOOK_UP_PORT : LOOK_UP_PORT + 1;
    return 1;
}

SEC("tc")
int draw_frame(struct __sk_buff* skb) {
    draw_packet(skb, 1);
    return TC_ACT_UNSPEC;
}

static __always_inline int mark_drawn(struct __sk_buff* skb, int known) {
    if (draw_packet(skb, known)) marker_count(skb, marker_handle_ethernet(skb));
    return TC_ACT_UNSPEC;
}

SEC("tc")
int mark_known(struct __sk_buff* skb) {
    return mark_drawn(skb, 1);
}

SEC("tc")
int mark_unknown(struct __sk_buff* skb) {
    return mark_drawn(skb, 0);
}
