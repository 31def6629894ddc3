/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/history.h: ended flows, and sums per minute. Offered by the core. */
#ifndef FLOWD_ABI_EXT_HISTORY_H
#define FLOWD_ABI_EXT_HISTORY_H

#include "flows.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_HISTORY "flowd.history/1"

/* flowd_minute.tag of the flows of all tags beyond the first 64 of a minute. */
#define FLOWD_TAG_OTHER 0xffffffffu

/*
 * The sums of one minute for flows of one tag and orientation. Borrowed for the call. A minute without flows that start,
 * end or move bytes has no entry.
 */
typedef struct flowd_minute {
    uint32_t size;
    uint32_t local;  /* FLOWD_LOCAL_*: SOURCE: sent is outgoing traffic of this host, DESTINATION: sent is incoming */
    int64_t time_ns; /* Unix time of the start of the minute: a multiple of 60 s */
    flowd_tag tag;   /* both FLOWD_TAG_OTHER: see there */
    uint64_t started;
    uint64_t ended;
    /* Bytes moved in this minute, as far as they were reported in it; from source to destination, and back. */
    uint64_t bytes_sent;
    uint64_t bytes_received;
} flowd_minute;

/* Returns 0 to continue, anything else to end the call. No lock is held: the calls below are allowed. */
typedef int32_t (*flowd_minute_visitor)(void *user, const flowd_minute *minute);

typedef struct flowd_ext_history {
    uint32_t size;
    uint32_t reserved;
    /*
     * [any] Matching flows among the last `flows.history` that ended, the latest first, as flowd_ext_flows.page: the same
     * cursor, limit, filter and results. FLOWD_FILTER_ANNOUNCER compares the instance that gave the tag, and
     * FLOWD_FILTER_SENDER the first sender. Flows that end meanwhile are not visited. If the flow at the cursor is no
     * longer kept, nor are the older ones, and the call ends with the cursor 0.
     */
    flowd_result (*page)(const flowd_host *host, const flowd_flow_filter *filter, uint64_t *cursor, size_t limit,
                         flowd_flow_visitor visitor, void *user);
    /* [any] The number of ended flows that are kept. */
    uint64_t (*count)(const flowd_host *host);
    /* [any] The minutes that begin at or after `from_ns`, Unix time, the oldest first; at most the last 24 hours, across
     * restarts of the daemon. The current minute is the last, as far as it has been summed: up to a second ago. */
    flowd_result (*minutes)(const flowd_host *host, int64_t from_ns, flowd_minute_visitor visitor, void *user);
} flowd_ext_history;

#ifdef __cplusplus
}
#endif

#endif
