/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/event.h: flows, flow events, attachments and samples of TCP information.
 */
#ifndef FLOWD_ABI_EVENT_H
#define FLOWD_ABI_EVENT_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Value type. Identity of a flow as announced: addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d
 * (RFC 4291 section 2.5.5.2); ports in host byte order; protocol as in the IPv6 next header field (6 TCP, 17 UDP).
 * Protocols without ports have 0 in both; ICMP and ICMPv6 echo have their identifier in both, so that a reply is the same
 * tuple reversed. `scope` is the inode number of the network namespace (ls -i /proc/PID/ns/net); 0, never the number, for
 * the daemon's own. VLAN, VRF, mark, flow label and the zone of a link-local address are no part of a flow's identity.
 * Malformed, and refused by this core or a later one: an unspecified address, port 0 with TCP, UDP or SCTP, and two
 * equal ends.
 * The core matches a flow in both directions of the tuple and keeps the orientation of its first announcement.
 */
typedef struct flowd_key {
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t source_port;
    uint16_t destination_port;
    uint8_t protocol;
    uint8_t reserved[3]; /* 0 */
    uint64_t scope;
} flowd_key;

/* Value type. Layer 4 payload bytes and packets; "sent" is from source to destination. Totals since the flow's start,
 * never differences. Where usage is known the bytes are; packets of 0 beside bytes above 0 are unknown. */
typedef struct flowd_usage {
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t packets_sent;
    uint64_t packets_received;
} flowd_usage;

/* Kinds of event, also as bits (1 << kind) in flowd_component.accepts. */
enum {
    FLOWD_EVENT_START = 1,
    FLOWD_EVENT_ONGOING = 2,
    FLOWD_EVENT_END = 3,
    FLOWD_EVENT_CATCH_ALL = 4,      /* from now on everything that has no flow of its own carries `tag` */
    FLOWD_EVENT_CATCH_ALL_CLEAR = 5 /* the catch-all is withdrawn */
};

/* Which end of the key is this host. */
enum {
    FLOWD_LOCAL_UNKNOWN = 0,
    FLOWD_LOCAL_SOURCE = 1,
    FLOWD_LOCAL_DESTINATION = 2,
    FLOWD_LOCAL_BOTH = 3,
    FLOWD_LOCAL_NONE = 4 /* forwarded, or relayed from another host */
};

/* Which end of the key opened the flow. */
enum {
    FLOWD_INITIATOR_UNKNOWN = 0,
    FLOWD_INITIATOR_SOURCE = 1,
    FLOWD_INITIATOR_DESTINATION = 2
};

/* flowd_event.flags and flowd_flow.flags. The first group is set by plugins, the second by the core alone. */
enum {
    FLOWD_FROM_FIREFLY = 1u << 0, /* learnt from a firefly: not announced to the flow's destination unless told */
    FLOWD_METERED = 1u << 1,      /* found by a meter: ends by idle time */
    FLOWD_HAS_USAGE = 1u << 2,    /* `usage` was measured */
    FLOWD_COLLECTORS_ONLY = 1u << 3, /* not announced to the flow's destination */
    /* end: only the announcement ends, because the announcer stops or is removed; the flow may live on. Set by the core
     * too. What outlives the daemon (a pinned mark) may stay. */
    FLOWD_WITHDRAWN = 1u << 4,

    FLOWD_RETAGGED = 1u << 16, /* ongoing: `tag` differs from what this backend was told before; never shed */
    FLOWD_EXPIRED = 1u << 17,  /* end: nobody announced it, the flow was idle, too old or its socket is gone */
    FLOWD_RESYNC = 1u << 18,   /* repeated from the flow table: the backend is new or had missed it */
    FLOWD_NO_START = 1u << 19, /* end: the flow was never seen to start */
    FLOWD_SAMPLED = 1u << 20   /* ongoing made by the core to carry the samples of a period */
};

/*
 * Bytes that travel with an event. Emitting: borrowed for the call, copied once by the core. Receiving: shared by all
 * backends, read-only, valid until on_events returns. They are not repeated with an event that is (FLOWD_RESYNC), unless their
 * id begins with FLOWD_ATTACHMENT_KEPT: those of the last start, re-tag or end are kept with the flow for that, 16 KiB at most.
 * Ids are "vendor.name/revision"; the ones of this SDK, the second being an exception:
 *   flowd.datagram/1  a firefly exactly as it was received
 *   flowd.json/NAME   one top-level JSON value to be repeated in a firefly under NAME
 */
typedef struct flowd_attachment {
    uint32_t size;
    uint32_t reserved;
    flowd_string id;
    flowd_bytes bytes;
} flowd_attachment;
#define FLOWD_ATTACHMENT_KEPT "flow/"
#define FLOWD_ATTACHMENT_DATAGRAM "flowd.datagram/1"
#define FLOWD_ATTACHMENT_JSON "flowd.json/"

/* flowd_sample.flags */
enum {
    FLOWD_SAMPLE_GONE = 1u << 0,     /* the kernel no longer knows this flow: the core expires it */
    FLOWD_SAMPLE_HAS_USAGE = 1u << 1 /* `usage` was measured */
};

/*
 * What an enricher knows of one live flow at one moment. Borrowed: valid until the receiving call returns.
 * `tcp_info` is struct tcp_info as this kernel gave it (include/uapi/linux/tcp.h): its length tells which members exist.
 */
typedef struct flowd_sample {
    uint32_t size;
    uint32_t flags;
    uint64_t flow_id;
    int64_t time_ns;     /* Unix time of the sample */
    flowd_string source; /* the enricher: "netlink", "skops"; set by the core when empty */
    flowd_bytes tcp_info;
    flowd_string congestion; /* congestion control algorithm; may be empty */
    uint64_t cookie;         /* socket cookie, 0 if unknown */
    uint8_t tcp_state;       /* include/net/tcp_states.h, 0 if unknown */
    uint8_t reserved[7];
    flowd_usage usage;
} flowd_sample;

/*
 * A flow event. Times are nanoseconds of Unix time, 0 for unknown.
 * Emitting: set kind, key, tag and what is known; flow_id is 0 and core flags are ignored. Repeat the tag in every start
 * and ongoing, for another tag re-tags; the tag of an end counts only for a flow that was never seen.
 * Receiving: flow_id, start_time_ns, tag and usage are those of the flow table. start and end reach a backend once each,
 * but after a reload a start with FLOWD_RESYNC may repeat what the predecessor was told: take it as an upsert.
 */
typedef struct flowd_event {
    uint32_t size;
    uint32_t kind;
    uint32_t flags;
    uint8_t local;     /* FLOWD_LOCAL_* */
    uint8_t initiator; /* FLOWD_INITIATOR_* */
    uint8_t reserved[2];
    uint64_t flow_id; /* unique for the life of the daemon, never 0 in what a backend receives */
    flowd_key key;
    flowd_tag tag;
    int64_t time_ns; /* when the event happened; the core fills it when 0 */
    int64_t start_time_ns;
    int64_t end_time_ns;
    flowd_usage usage;
    uint64_t sender;          /* who told the plugin (a hash of a peer's address, a uid): the unit of per-source caps; 0: nobody */
    flowd_string application; /* the program that announced the flow, for a firefly's context; may be empty */
    const flowd_attachment *attachments;
    size_t attachment_count;
    size_t attachment_stride;
    const flowd_sample *samples; /* ongoing with FLOWD_SAMPLED: one of each enricher. Emitting: null; else ignored */
    size_t sample_count;
    size_t sample_stride;
} flowd_event;

/* A live flow, as enrichers and flowd.flows/1 see it. Borrowed for the call. */
typedef struct flowd_flow {
    uint32_t size;
    uint32_t flags;
    uint64_t flow_id;
    flowd_key key;
    flowd_tag tag;
    int64_t start_time_ns;
    int64_t seen_time_ns; /* last announcement or refresh */
    flowd_usage usage;
    uint8_t local;
    uint8_t initiator;
    uint8_t reserved[6];
    uint32_t announcers; /* how many instances announce it now */
    uint32_t reserved2;
    flowd_string application;
} flowd_flow;

#ifdef __cplusplus
}
#endif

#endif
