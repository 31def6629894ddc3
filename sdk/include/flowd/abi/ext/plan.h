/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/plan.h: the tags that sockets would get, without an instance. Offered by components (offline). */
#ifndef FLOWD_ABI_EXT_PLAN_H
#define FLOWD_ABI_EXT_PLAN_H

#include "../module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_PLAN "flowd.plan/1"

/* flowd_connection.known */
enum {
    FLOWD_CONNECTION_USER = 1u << 0,  /* `user` is set */
    FLOWD_CONNECTION_CGROUP = 1u << 1 /* `cgroup` is set */
};

/* A TCP or UDP socket of this host as sock_diag(7) reports it. Borrowed for the call. */
typedef struct flowd_connection {
    uint32_t size;
    uint32_t known;     /* FLOWD_CONNECTION_* */
    flowd_key key;      /* the local end is the source; the destination of a listening socket is unspecified, port 0 */
    uint64_t cookie;
    uint64_t cgroup;    /* id of its control group (version 2) */
    uint32_t user;      /* its owner */
    uint32_t interface; /* index of the interface that it is bound to; 0: none */
    uint8_t state;      /* include/net/tcp_states.h: 1 established or connected, 10 listening */
    uint8_t reserved[7]; /* 0 */
} flowd_connection;

/* flowd_planned.outcome. Open: a reader treats an unknown value as FLOWD_PLANNED_NOT. */
enum {
    FLOWD_PLANNED_NOT = 0,       /* not announced; `text` has the reason */
    FLOWD_PLANNED_FLOW = 1,      /* announced as a flow with `tag` */
    FLOWD_PLANNED_CATCH_ALL = 2, /* not announced, but its packets have `tag` if the flow has none of its own */
    FLOWD_PLANNED_ANY = 3        /* announced with a tag that is not known before */
};

/* What an instance would do with one socket. Borrowed for the call. */
typedef struct flowd_planned {
    uint32_t size;
    uint32_t connection; /* index in the list */
    uint32_t outcome;    /* FLOWD_PLANNED_* */
    uint32_t reserved;   /* 0 */
    flowd_tag tag;
    flowd_string rule;   /* as in flowd_event; may be empty */
    flowd_string text;   /* one sentence; never empty with FLOWD_PLANNED_NOT */
} flowd_planned;

/* Receives the plan during one call, on its thread. Copied. */
typedef struct flowd_plan {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* FLOWD_OK; FLOWD_INVALID: malformed; FLOWD_LIMIT: one of this connection already. Texts over 1,024 bytes are
     * truncated. */
    flowd_result (*add)(const struct flowd_plan *plan, const flowd_planned *planned);
} flowd_plan;

typedef struct flowd_ext_plan {
    uint32_t size;
    uint32_t reserved;
    /* [core] What an instance of this configuration would do with these sockets, without a daemon, with the caller's
     * rights, and without changes. The list has all connected and listening sockets of the network namespace. A connection
     * that does not concern it gets no entry. `host` and `config` as in flowd_component.validate. */
    flowd_result (*offline)(const flowd_host *host, const flowd_value *config, const flowd_connection *connections,
                            size_t count, size_t stride, const flowd_plan *plan);
} flowd_ext_plan;

#ifdef __cplusplus
}
#endif

#endif
