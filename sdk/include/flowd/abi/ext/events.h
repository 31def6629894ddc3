/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/events.h: what happens to flows, for observers. Offered by the core. */
#ifndef FLOWD_ABI_EXT_EVENTS_H
#define FLOWD_ABI_EXT_EVENTS_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_EVENTS "flowd.events/1"

/* flowd_observed.kind. Open: skip unknown kinds. */
enum {
    FLOWD_OBSERVED_START = 1,
    FLOWD_OBSERVED_ONGOING = 2, /* announced again, and passed to backends; samples of a period are not observed */
    FLOWD_OBSERVED_RETAG = 3,   /* the tag has changed */
    FLOWD_OBSERVED_END = 4,
    FLOWD_OBSERVED_REFUSAL = 5 /* an instance has refused an input: it is no event of a flow */
};

/* One event. Borrowed for the call. */
typedef struct flowd_observed {
    uint32_t size;
    uint32_t kind;
    uint64_t sequence; /* higher by 1 than that of the previous event */
    int64_t time_ns;   /* Unix time */
    const flowd_flow *flow; /* after the event; null in a refusal */
    flowd_tag former_tag;   /* retag: the tag before; otherwise 0/0 */
    /* Of a refusal; otherwise empty. `sender` and `first` are of foreign origin, not necessarily text, of at most 128
     * bytes. */
    flowd_string instance; /* "plugin fireflyp/regional" */
    flowd_string reason;   /* [a-z][a-z0-9_]* */
    flowd_string sender;   /* address and port as text, or as given by the instance; may be empty */
    flowd_bytes first;     /* the beginning of the input; may be empty */
    /* Refusals before this one that were not kept, because more than 256 came within a second. */
    uint64_t suppressed;
} flowd_observed;

/* Returns 0 to continue, anything else to end the call. No lock is held: the calls below are allowed. */
typedef int32_t (*flowd_observer)(void *user, const flowd_observed *observed);

/*
 * The core keeps the latest events (32,768 of them) for all readers together. A reader holds a position and delays nothing:
 * if it is too slow, events that it has not read are replaced, and it is told how many. Nothing wakes a reader: read
 * periodically, several times a second.
 */
typedef struct flowd_ext_events {
    uint32_t size;
    uint32_t reserved;
    /*
     * [any] Events from *position on, the oldest first, at most `limit`. 0 begins with the oldest that is kept. Afterwards
     * *position is that of the next event. If a visitor ends the call, it continues after the event that it received. *lost
     * is the number of events between *position and the first that was still kept; `lost` may be null. A position is valid
     * for the life of the daemon. FLOWD_INVALID: the position is not one of this daemon.
     */
    flowd_result (*read)(const flowd_host *host, uint64_t *position, size_t limit, uint64_t *lost, flowd_observer observer,
                         void *user);
    /* [any] The position after the latest event: a reader that begins there receives only later ones. */
    uint64_t (*next)(const flowd_host *host);
} flowd_ext_events;

#ifdef __cplusplus
}
#endif

#endif
