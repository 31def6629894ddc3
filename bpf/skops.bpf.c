// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Samples of TCP connections for the skops enricher. poll: an iterator over all sockets. transition: a sockops program
 * that reports each change of state. Neither changes a connection.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/kernel_socket.h"
#include "bpf/lib/tcp_info.h"
#include "bpf/skops_types.h"

#define SKOPS_TCP_LISTEN 10

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct skops_settings);
} skops_settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 << 20);
} skops_events SEC(".maps");

/* Number of changes of state that were lost because the ring buffer was full. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} skops_lost SEC(".maps");

static __always_inline const struct skops_settings* skops_find_settings(void) {
    const __u32 only = 0;
    return bpf_map_lookup_elem(&skops_settings, &only);
}

static __always_inline void skops_fill(struct skops_record* record, const struct tcp_sock* tcp, __u8 state) {
    const struct sock* socket = (const struct sock*)tcp;
    record->time_ns = bpf_ktime_get_ns();
    socket_addresses(socket, (__u32*)record->local, (__u32*)record->remote);
    record->local_port = socket->__sk_common.skc_num;
    record->remote_port = bpf_ntohs(socket->__sk_common.skc_dport);
    record->state = state;
    record->fin_received = socket_has_fin(socket);
    tcp_congestion_name(record->congestion, tcp);
    tcp_info_fill(&record->info, tcp, state);
}

SEC("iter/tcp")
int flowd_skops_poll(struct bpf_iter__tcp* context) {
    struct sock_common* common = context->sk_common;
    const struct skops_settings* settings = skops_find_settings();
    if (!common || !settings) return 0;
    const struct tcp_sock* tcp = bpf_skc_to_tcp_sock(common); /* neither TIME_WAIT nor a request */
    if (!tcp) return 0;
    const struct sock* socket = (const struct sock*)tcp;
    const __u8 state = socket->__sk_common.skc_state;
    if (state == SKOPS_TCP_LISTEN) return 0;
    if (settings->cgroup && !cgroup_is_below(socket_cgroup(socket), settings->cgroup)) return 0;
    struct skops_record record = {};
    record.cookie = bpf_get_socket_cookie((void*)common);
    skops_fill(&record, tcp, state);
    bpf_seq_write(context->meta->seq, &record, sizeof record);
    return 0;
}

SEC("sockops")
int flowd_skops_transition(struct bpf_sock_ops* ops) {
    const __u32 op = ops->op;
    if (op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB &&
        op != BPF_SOCK_OPS_STATE_CB)
        return 1;
    const struct skops_settings* settings = skops_find_settings();
    struct bpf_sock* at = ops->sk;
    if (!settings || !at) return 1;
    const struct tcp_sock* tcp = bpf_skc_to_tcp_sock(at);
    if (!tcp || socket_network_namespace((const struct sock*)tcp) != settings->network_namespace) return 1;
    __u8 state = BPF_TCP_ESTABLISHED;
    if (op == BPF_SOCK_OPS_STATE_CB)
        state = (__u8)ops->args[1];
    else
        bpf_sock_ops_cb_flags_set(ops, (int)(ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG));
    struct skops_record* record = bpf_ringbuf_reserve(&skops_events, sizeof *record, 0);
    if (!record) {
        const __u32 only = 0;
        __u64* lost = bpf_map_lookup_elem(&skops_lost, &only);
        if (lost) ++*lost;
        return 1;
    }
    __builtin_memset(record, 0, sizeof *record);
    record->cookie = bpf_get_socket_cookie(ops);
    skops_fill(record, tcp, state);
    bpf_ringbuf_submit(record, 0);
    return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
