// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The watch: sees TCP connections open and close, gives their sockets the tag of the first rule that matches, and reports
 * them. The tag is set before the first packet: of a client before its SYN, of a server before its first
 * data. A sockops program for a cgroup. It does not change a connection.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/kernel_socket.h"
#include "bpf/socket_tag.h"
#include "bpf/watch_types.h"

/* The tags of sockets: the marker's map if there is one, otherwise a map that nobody else reads. */
struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct socket_tag);
} socket_tags SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct watch_state);
} watch_sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2 * WATCH_MAX_RULES);
    __type(key, __u32);
    __type(value, struct watch_rule);
} watch_rules SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, WATCH_MAX_TAGS);
    __type(key, __u32);
    __type(value, struct watch_tag);
} watch_tags SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct watch_settings);
} watch_settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20); /* replaced before loading */
} watch_events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, WATCH_COUNTS);
    __type(key, __u32);
    __type(value, __u64);
} watch_counts SEC(".maps");

static __u32 watch_turn;

/* The properties of a connection that rules match. */
struct watch_socket {
    __u64 local[2];
    __u64 remote[2];
    __u32 user;
    __u16 local_port;
    __u16 remote_port;
    __u32 direction;
    __u64 groups[CGROUP_MAX_DEPTH];
};

static __always_inline void watch_count(__u32 index) {
    __u64* count = bpf_map_lookup_elem(&watch_counts, &index);
    if (count) ++*count;
}

/* A separate function, so that the verifier checks it once and not once per rule. */
__noinline int watch_matches(const struct watch_rule* rule, const struct watch_socket* socket) {
    if (!rule || !socket) return 0;
    if (socket->local_port < rule->local_low || socket->local_port > rule->local_high) return 0;
    if (socket->remote_port < rule->remote_low || socket->remote_port > rule->remote_high) return 0;
    if (rule->direction && rule->direction != socket->direction) return 0;
    if (rule->has_user && rule->user != socket->user) return 0;
    if ((socket->local[0] & rule->local_mask[0]) != rule->local_network[0]) return 0;
    if ((socket->local[1] & rule->local_mask[1]) != rule->local_network[1]) return 0;
    if ((socket->remote[0] & rule->remote_mask[0]) != rule->remote_network[0]) return 0;
    if ((socket->remote[1] & rule->remote_mask[1]) != rule->remote_network[1]) return 0;
    if (!rule->cgroup) return 1;
    for (int depth = 0; depth < CGROUP_MAX_DEPTH; ++depth)
        if (socket->groups[depth] == rule->cgroup) return 1;
    return 0;
}

/* The ids of a socket's control group and of all its ancestors. */
static __always_inline void watch_groups(const struct sock* socket, struct watch_socket* facts) {
    const struct cgroup* group = socket_cgroup(socket);
    for (int depth = 0; depth < CGROUP_MAX_DEPTH && group; ++depth) {
        facts->groups[depth] = cgroup_id(group);
        group = cgroup_parent(group);
    }
}

static __always_inline void watch_decide(const struct watch_settings* settings, const struct watch_socket* socket,
                                         struct watch_state* state) {
    state->verdict = WATCH_NONE;
    state->direction = socket->direction;
    for (__u32 i = 0; i < WATCH_MAX_RULES; ++i) {
        if (i >= settings->rules) return;
        const __u32 index = settings->first_rule + i;
        const struct watch_rule* rule = bpf_map_lookup_elem(&watch_rules, &index);
        if (!rule) return;
        if (!watch_matches(rule, socket)) continue;
        state->verdict = rule->verdict;
        state->experiment = rule->experiment;
        state->activity = rule->activity;
        break;
    }
    if (state->verdict != WATCH_NEXT) return;
    state->verdict = WATCH_NONE;
    if (settings->tags == 0) return;
    const __u32 turn = settings->random ? bpf_get_prandom_u32() : __sync_fetch_and_add(&watch_turn, 1);
    const __u32 which = turn % settings->tags;
    const struct watch_tag* tag = bpf_map_lookup_elem(&watch_tags, &which);
    if (!tag) return;
    state->verdict = WATCH_TAG;
    state->experiment = tag->experiment;
    state->activity = tag->activity;
}

/* Decides on a socket that has no state yet, and tags it. Null: no rule matches. */
static __always_inline struct watch_state* watch_meet(struct bpf_sock* at, const struct sock* socket,
                                                      const struct watch_settings* settings, __u32 direction) {
    struct watch_socket facts = {};
    socket_addresses(socket, (__u32*)facts.local, (__u32*)facts.remote);
    facts.local_port = socket->__sk_common.skc_num;
    facts.remote_port = bpf_ntohs(socket->__sk_common.skc_dport);
    facts.user = socket->sk_uid.val;
    facts.direction = direction;
    watch_groups(socket, &facts);

    struct watch_state decided = {};
    watch_decide(settings, &facts, &decided);
    if (decided.verdict != WATCH_TAG && decided.verdict != WATCH_ASK) return 0;
    struct watch_state* state = bpf_sk_storage_get(&watch_sockets, at, &decided, BPF_SK_STORAGE_GET_F_CREATE);
    if (!state) watch_count(WATCH_COUNT_NO_MEMORY);
    if (decided.verdict == WATCH_TAG) {
        struct socket_tag tag = {decided.experiment, decided.activity};
        struct socket_tag* kept = bpf_sk_storage_get(&socket_tags, at, &tag, BPF_SK_STORAGE_GET_F_CREATE);
        watch_count(kept ? WATCH_COUNT_TAGGED : WATCH_COUNT_NO_MEMORY);
    }
    return state;
}

static __always_inline void watch_tell(struct bpf_sock_ops* ops, const struct sock* socket, const struct watch_state* state,
                                       __u8 kind) {
    struct watch_event* event = bpf_ringbuf_reserve(&watch_events, sizeof *event, 0);
    if (!event) {
        watch_count(WATCH_COUNT_NO_ROOM);
        return;
    }
    socket_addresses(socket, (__u32*)event->local, (__u32*)event->remote);
    event->cookie = bpf_get_socket_cookie(ops);
    event->time_ns = bpf_ktime_get_ns();
    event->cgroup = cgroup_id(socket_cgroup(socket));
    event->user = socket->sk_uid.val;
    event->interface = (__u32)socket->__sk_common.skc_bound_dev_if;
    event->local_port = socket->__sk_common.skc_num;
    event->remote_port = bpf_ntohs(socket->__sk_common.skc_dport);
    event->experiment = state->experiment;
    event->activity = state->activity;
    event->verdict = (__u8)state->verdict;
    event->direction = (__u8)state->direction;
    event->kind = kind;
    event->fin_received = 0;
    event->bytes_sent = 0;
    event->bytes_received = 0;
    event->segments_sent = 0;
    event->segments_received = 0;
    if (kind == WATCH_CLOSED) {
        const struct tcp_sock* tcp = (const struct tcp_sock*)socket;
        const __u64 payload = tcp->bytes_sent - tcp->bytes_retrans;
        const __u64 acknowledged = tcp->bytes_acked; /* with SYN and FIN, which have a sequence number each */
        event->fin_received = socket_has_fin(socket);
        event->bytes_sent = acknowledged < payload ? acknowledged : payload;
        event->bytes_received = tcp->bytes_received - (event->fin_received && tcp->bytes_received ? 1 : 0);
        event->segments_sent = ops->segs_out;
        event->segments_received = ops->segs_in;
    }
    bpf_ringbuf_submit(event, 0);
    watch_count(kind == WATCH_OPENED ? WATCH_COUNT_OPENED : WATCH_COUNT_CLOSED);
}

SEC("sockops")
int flowd_watch(struct bpf_sock_ops* ops) {
    const __u32 op = ops->op;
    if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
        op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_STATE_CB)
        return 1;
    if (op == BPF_SOCK_OPS_STATE_CB && ops->args[1] != BPF_TCP_CLOSE) return 1;
    if (ops->family != AF_INET && ops->family != AF_INET6) return 1;
    const __u32 only = 0;
    const struct watch_settings* settings = bpf_map_lookup_elem(&watch_settings, &only);
    struct bpf_sock* at = ops->sk;
    if (!settings || !at) return 1;
    const struct sock* socket = (const struct sock*)bpf_skc_to_tcp_sock(at);
    if (!socket || socket_network_namespace(socket) != settings->network_namespace) return 1;

    struct watch_state* state = bpf_sk_storage_get(&watch_sockets, at, 0, 0);
    if (op == BPF_SOCK_OPS_STATE_CB) {
        /* A connection that was never established is not a flow. */
        if (state && ops->args[0] != BPF_TCP_SYN_SENT && ops->args[0] != BPF_TCP_SYN_RECV)
            watch_tell(ops, socket, state, WATCH_CLOSED);
        return 1;
    }
    if (!state) {
        if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
            const struct task_struct* task = (const void*)bpf_get_current_task();
            if ((__u32)BPF_CORE_READ(task, tgid) == settings->process) return 1;
        } else if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
            return 1; /* decided before its SYN */
        }
        state =
            watch_meet(at, socket, settings, op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB ? WATCH_INCOMING : WATCH_OUTGOING);
    }
    if (!state || op == BPF_SOCK_OPS_TCP_CONNECT_CB) return 1;
    bpf_sock_ops_cb_flags_set(ops, (int)(ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG));
    watch_tell(ops, socket, state, WATCH_OPENED);
    return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
