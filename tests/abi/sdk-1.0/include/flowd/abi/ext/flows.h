/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/flows.h: reading the flow table. Offered by the core. */
#ifndef FLOWD_ABI_EXT_FLOWS_H
#define FLOWD_ABI_EXT_FLOWS_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_FLOWS "flowd.flows/1"

/* flowd_flow_filter.members: which members count. The core answers FLOWD_UNSUPPORTED for bits that it does not know. */
enum {
    FLOWD_FILTER_EXPERIMENT = 1u << 0,
    FLOWD_FILTER_ACTIVITY = 1u << 1,
    FLOWD_FILTER_NETWORK = 1u << 2,
    FLOWD_FILTER_PORT = 1u << 3,
    FLOWD_FILTER_PROTOCOL = 1u << 4,
    FLOWD_FILTER_ANNOUNCER = 1u << 5,
    FLOWD_FILTER_SENDER = 1u << 6
};

/* A flow matches when every member that counts does. Borrowed for the call. */
typedef struct flowd_flow_filter {
    uint32_t size;
    uint32_t members; /* FLOWD_FILTER_* */
    flowd_tag tag;
    uint8_t network[16];    /* either end lies in it; as in flowd_key ... */
    uint32_t prefix_length; /* ... 0 to 128: IPv4 /24 is 120 */
    uint16_t port;          /* of either end */
    uint8_t protocol;
    uint8_t reserved;       /* 0 */
    flowd_string announcer; /* an instance that announces it: "fireflyp/regional" */
    uint64_t sender;        /* a sender that announces it */
} flowd_flow_filter;

/* Answers 0 to go on, anything else to end the call. The flow is borrowed. Must not emit or block; no lock is held, so
 * the calls below may be made. */
typedef int32_t (*flowd_flow_visitor)(void *user, const flowd_flow *flow);

typedef struct flowd_ext_flows {
    uint32_t size;
    uint32_t reserved;
    /*
     * [any] Live flows that match, in no order, from *cursor on: 0 begins, and *cursor is 0 again when there are no more.
     * `filter` may be null. It visits at most `limit` flows and looks at a bounded number of records, so it may visit
     * fewer, even none, before the end: call again with the cursor. A visitor that ends the call leaves the cursor behind
     * the flow that it was given. A flow that starts or ends meanwhile may or may not be seen; none is seen twice. A
     * cursor is good for the life of the daemon. FLOWD_INVALID: the cursor is none of this daemon's, or the filter is
     * malformed.
     */
    flowd_result (*page)(const flowd_host *host, const flowd_flow_filter *filter, uint64_t *cursor, size_t limit,
                         flowd_flow_visitor visitor, void *user);
    /* [any] The live flow of a tuple, in either direction, to the visitor; FLOWD_NOT_FOUND when there is none. */
    flowd_result (*find)(const flowd_host *host, const flowd_key *key, flowd_flow_visitor visitor, void *user);
    /* [any] How many there are now. */
    uint64_t (*count)(const flowd_host *host);
} flowd_ext_flows;

#ifdef __cplusplus
}
#endif

#endif
