/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/flows.h: reading the flow table. Offered by the core. */
#ifndef FLOWD_ABI_EXT_FLOWS_H
#define FLOWD_ABI_EXT_FLOWS_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_FLOWS "flowd.flows/1"

/* flowd_flow_filter.members: the members that are compared. The core returns FLOWD_UNSUPPORTED for unknown bits. */
enum {
    FLOWD_FILTER_EXPERIMENT = 1u << 0,
    FLOWD_FILTER_ACTIVITY = 1u << 1,
    FLOWD_FILTER_NETWORK = 1u << 2,
    FLOWD_FILTER_PORT = 1u << 3,
    FLOWD_FILTER_PROTOCOL = 1u << 4,
    FLOWD_FILTER_ANNOUNCER = 1u << 5,
    FLOWD_FILTER_SENDER = 1u << 6
};

/* A flow matches if all members that are compared do. Borrowed for the call. */
typedef struct flowd_flow_filter {
    uint32_t size;
    uint32_t members; /* FLOWD_FILTER_* */
    flowd_tag tag;
    uint8_t network[16];    /* contains either end; as in flowd_key ... */
    uint32_t prefix_length; /* ... 0 to 128: IPv4 /24 is 120 */
    uint16_t port;          /* of either end */
    uint8_t protocol;
    uint8_t reserved;       /* 0 */
    flowd_string announcer; /* an instance that announces it: "fireflyp/regional" */
    uint64_t sender;        /* a sender that announces it */
} flowd_flow_filter;

/* Returns 0 to continue, anything else to end the call. The flow is borrowed. Must not emit or block. No lock is held: the
 * calls below are allowed. */
typedef int32_t (*flowd_flow_visitor)(void *user, const flowd_flow *flow);

typedef struct flowd_ext_flows {
    uint32_t size;
    uint32_t reserved;
    /*
     * [any] Matching live flows, in no particular order, from *cursor on: 0 begins, and *cursor is 0 again after the last.
     * `filter` may be null. Visits at most `limit` flows and examines a bounded number of records, so it may visit
     * fewer, even none, before the end: call again with the cursor. If a visitor ends the call, the cursor continues after
     * the flow that it received. A flow that starts or ends meanwhile may or may not be visited; none is visited twice. A
     * cursor is valid for the life of the daemon. FLOWD_INVALID: the cursor is not one of this daemon, or the filter is
     * malformed.
     */
    flowd_result (*page)(const flowd_host *host, const flowd_flow_filter *filter, uint64_t *cursor, size_t limit,
                         flowd_flow_visitor visitor, void *user);
    /* [any] Passes the live flow of a tuple, in either direction, to the visitor; FLOWD_NOT_FOUND if there is none. */
    flowd_result (*find)(const flowd_host *host, const flowd_key *key, flowd_flow_visitor visitor, void *user);
    /* [any] The current number of live flows. */
    uint64_t (*count)(const flowd_host *host);
} flowd_ext_flows;

#ifdef __cplusplus
}
#endif

#endif
