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
 * Value type. The identity of a flow as announced. Addresses are 16 bytes in network order; IPv4 is an IPv4-mapped address
 * (RFC 4291 section 2.5.5.2). Ports are in host byte order. `protocol` is an IPv6 next header value (6 TCP, 17 UDP).
 * Protocols without ports have 0 in both ports. ICMP and ICMPv6 echo have their identifier in both, so that a reply is the
 * same tuple, reversed.
 * `scope` is the inode number of the network namespace (ls -i /proc/PID/ns/net); 0 is the daemon's own. The core replaces
 * the number of the daemon's own namespace by 0.
 * `zone` is the interface index to which link-local addresses belong (RFC 4007), if either end is in fe80::/10 or
 * ff02::/16; 0: unknown. The core sets it to 0 for all other addresses. Flows that differ in zone or scope are different
 * flows. The marker's label table has neither: such flows share one entry, and the flow that started last sets its label.
 * VLAN, VRF, mark and flow label are not part of a flow's identity.
 * Malformed, and refused by this core or a later one: an unspecified address, port 0 with TCP, UDP or SCTP, and two equal
 * ends.
 * Both directions of a tuple are one flow. The core keeps the orientation of the first announcement.
 */
typedef struct flowd_key {
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t source_port;
    uint16_t destination_port;
    uint8_t protocol;
    uint8_t reserved[3]; /* 0 */
    uint32_t scope;
    uint32_t zone;
} flowd_key;

/*
 * Who measured a usage. Open: values are compared as numbers, and the highest takes precedence. The core keeps the usage
 * from the highest source that has reported for a flow, and from then on ignores lower ones.
 */
enum {
    FLOWD_USAGE_UNKNOWN = 0,
    FLOWD_USAGE_METER = 16,       /* packets counted on an interface */
    FLOWD_USAGE_APPLICATION = 32, /* reported by the transfer application */
    FLOWD_USAGE_KERNEL = 48       /* the socket's own counters (struct tcp_info) */
};

/* flowd_usage.known: what was measured. Counts that are not known are 0. Closed. */
enum {
    FLOWD_USAGE_BYTES = 1u << 0,
    FLOWD_USAGE_PACKETS = 1u << 1
};

/*
 * Value type. Layer 4 payload bytes, and packets; "sent" is from source to destination. Totals since the flow's start,
 * never differences. In events that the core delivers, totals of a flow never decrease: if a source restarts at 0, its
 * previous count is added.
 */
typedef struct flowd_usage {
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t packets_sent;
    uint64_t packets_received;
    uint32_t source; /* FLOWD_USAGE_UNKNOWN, _METER, _APPLICATION, _KERNEL */
    uint32_t known;  /* FLOWD_USAGE_BYTES, FLOWD_USAGE_PACKETS; 0: nothing was measured */
} flowd_usage;

/* Kinds of event, also as bits (1 << kind) in flowd_component.accepts. */
enum {
    FLOWD_EVENT_START = 1,
    FLOWD_EVENT_ONGOING = 2,
    FLOWD_EVENT_END = 3,
    /* From now on, traffic that belongs to no known flow is marked with `tag`. All other members but time_ns (key, flow_id,
     * usage, rule, attachments, other times) are 0 or empty in both catch-all events. */
    FLOWD_EVENT_CATCH_ALL = 4,
    FLOWD_EVENT_CATCH_ALL_CLEAR = 5 /* the catch-all is withdrawn */
};

/* Which end of the key is a local address of this host. Closed. */
enum {
    FLOWD_LOCAL_UNKNOWN = 0,
    FLOWD_LOCAL_SOURCE = 1,
    FLOWD_LOCAL_DESTINATION = 2,
    FLOWD_LOCAL_BOTH = 3,
    FLOWD_LOCAL_NONE = 4 /* neither: forwarded, or a flow of another host, which announced it */
};

/* Which end of the key initiated the flow (sent the SYN, for example). Closed. */
enum {
    FLOWD_INITIATOR_UNKNOWN = 0,
    FLOWD_INITIATOR_SOURCE = 1,
    FLOWD_INITIATOR_DESTINATION = 2
};

/*
 * flowd_event.flags and flowd_flow.flags. Plugins set the first group, only the core sets the second. A flow has a flag of
 * the first group if all instances that currently announce it set it; this is re-evaluated when one joins or
 * leaves.
 */
enum {
    /* Learnt from the network, by a firefly for example. The sender (attachment flowd.peer/1, where known) and both ends
     * of the flow may know it already: a backend does not announce it to the sender, and to the ends only
     * if configured to. */
    FLOWD_LEARNT_REMOTELY = 1u << 0,
    FLOWD_METERED = 1u << 1,     /* observed by a meter, not announced: expires after flows.idleTimeout */
    FLOWD_NOT_TO_PEER = 1u << 2, /* do not announce it to the remote end; FLOWD_LEARNT_REMOTELY implies it */

    FLOWD_RETAGGED = 1u << 16, /* ongoing: `tag` differs from the last one that this backend was sent; never shed */
    FLOWD_RESYNC = 1u << 17,   /* repeated from the flow table: the backend is new, or missed the event */
    FLOWD_NO_START = 1u << 18, /* end: the flow was never seen to start */
    FLOWD_SAMPLED = 1u << 19,  /* ongoing made by the core: samples of a period, or usage from a meter */
    /* flowd_flow only: the flow's packets are marked where they leave this host: its tag is not 0/0, and a backend marks
     * this IP version (flowd_interface.marks). Of an ended flow: it was so when it ended. */
    FLOWD_MARKED = 1u << 20
};

/*
 * Why a flow ended. Open: a reader treats an unknown value as FLOWD_END_UNKNOWN. A plugin sets ANNOUNCED, IDLE,
 * SOCKET_GONE or WITHDRAWN in an end (0 means ANNOUNCED), and 0 in all other events; other values are refused.
 */
enum {
    FLOWD_END_UNKNOWN = 0,
    FLOWD_END_ANNOUNCED = 1,    /* an instance that announces it sent the end */
    FLOWD_END_IDLE = 2,         /* metered, and idle for flows.idleTimeout */
    FLOWD_END_AGE = 3,          /* announced, and not refreshed for flows.maxAge */
    FLOWD_END_SOCKET_GONE = 4,  /* the kernel has no such socket any more */
    FLOWD_END_SAMPLE_GONE = 5,  /* an enricher reported FLOWD_SAMPLE_GONE */
    FLOWD_END_WITHDRAWN = 6     /* the last instance that announced it stopped; the connection may still be open */
};

/*
 * Bytes that belong to an event. Emitting: borrowed for the call, copied once by the core. Receiving: shared by all
 * backends, read-only, valid until on_events returns.
 * With FLOWD_ATTACHMENT_KEEP it is kept with the flow: it replaces the kept attachment of the same id, or removes it if it
 * has no bytes. Any event of a flow, and a sample of an enricher, may have such attachments. Kept attachments are part of
 * every later event of the flow that a backend receives, including events that the core makes or repeats; an attachment of
 * the event itself replaces one of the same id. Limits: 16 KiB and 64 attachments per flow, and a total for all flows;
 * what exceeds a limit is not kept, and counted. Without the flag an attachment is part of this event only, and
 * missing if the event is repeated (FLOWD_RESYNC). An event or sample with more than 64 attachments or 256 KiB
 * in total is FLOWD_INVALID.
 * Ids have 1 to 128 bytes and are "vendor.name/revision"; those of this SDK:
 *   flowd.datagram/1  a firefly exactly as it was received
 *   flowd.peer/1      its sender: address and port as text in the form of RFC 5952, "[2001:db8::1]:10514"
 *   flowd.json/NAME   one JSON value for the top-level member NAME of a firefly (no revision)
 */
typedef struct flowd_attachment {
    uint32_t size;
    uint32_t flags; /* FLOWD_ATTACHMENT_KEEP */
    flowd_string id;
    flowd_bytes bytes;
} flowd_attachment;
enum {
    FLOWD_ATTACHMENT_KEEP = 1u << 0
};
#define FLOWD_ATTACHMENT_DATAGRAM "flowd.datagram/1"
#define FLOWD_ATTACHMENT_PEER "flowd.peer/1"
#define FLOWD_ATTACHMENT_JSON "flowd.json/"

/* flowd_sample.flags */
enum {
    FLOWD_SAMPLE_GONE = 1u << 0 /* the kernel no longer has this socket: the core ends the flow */
};

/*
 * The state of one live flow at one moment, from an enricher. Borrowed: valid until the receiving call returns. An enricher
 * adds at most one sample per flow and period (flowd_component.sample), in whatever number of batches.
 * `tcp_info` is struct tcp_info as this kernel gave it (include/uapi/linux/tcp.h): its length tells which members exist; at
 * most 4,096 bytes.
 */
typedef struct flowd_sample {
    uint32_t size;
    uint32_t flags;
    uint64_t flow_id;
    int64_t time_ns;     /* Unix time of the sample */
    flowd_string source; /* the enricher: "netlink", "skops"; at most 64 bytes; set by the core when empty */
    flowd_bytes tcp_info;
    flowd_string congestion; /* congestion control algorithm; at most 64 bytes; may be empty */
    uint64_t cookie;         /* socket cookie, 0 if unknown */
    uint8_t tcp_state;       /* include/net/tcp_states.h, 0 if unknown */
    uint8_t reserved[7];     /* 0 */
    flowd_usage usage;
    const flowd_attachment *attachments; /* adding: only FLOWD_ATTACHMENT_KEEP; receiving: null, see the event's */
    size_t attachment_count;
    size_t attachment_stride;
} flowd_sample;

/*
 * A flow event. Times are nanoseconds of Unix time, 0 for unknown.
 * Emitting: set kind, key, tag and whatever else is known. precedence and announcer are 0 or empty; flags of the core are
 * refused. flow_id is 0, or the id that emit returned before: then the event counts only while that flow is live, and is
 * otherwise discarded (emit returns the id 0), which tells a plugin that its flow has ended. Repeat the tag in every start
 * and ongoing, because another tag re-tags the flow; the tag of an end counts only for an unknown flow. If
 * an end is before its start, it is set to the start, and counted. Texts that are too long are truncated at the start of a
 * UTF-8 character.
 * Receiving: flow_id, start_time_ns, tag, usage, sender, precedence, announcer, rule and application are those of the flow
 * table, whichever announcement caused the event. A backend receives start and end once each, except that after a reload a
 * start with FLOWD_RESYNC may repeat what its predecessor received: treat it as an upsert.
 * If several instances announce a flow, one of them gave the tag: precedence, announcer and rule are of that instance, and
 * rule is from its latest start or ongoing, empty if that had none. When that instance ends its announcement and others
 * continue, announcer and rule remain, and precedence is 0 until another gives the tag. sender is the first sender.
 * application is the first that was named; one that comes with the tag replaces it.
 */
typedef struct flowd_event {
    uint32_t size;
    uint32_t kind;
    uint32_t flags;
    uint8_t local;     /* FLOWD_LOCAL_* */
    uint8_t initiator; /* FLOWD_INITIATOR_* */
    uint8_t reserved[2]; /* 0 */
    uint64_t flow_id; /* unique for the life of the daemon, below 2^53; never 0 in what a backend receives */
    flowd_key key;
    flowd_tag tag;
    int64_t time_ns; /* when the event happened; the core fills it when 0 */
    int64_t start_time_ns;
    int64_t end_time_ns;
    flowd_usage usage;
    /* Who sent the announcement to the plugin, from flowd_host.sender_id; 0: not distinguished. flows.maxPerSource is a
     * limit per sender, and in an instance only a sender that announced a flow can end it. Received: the first sender. */
    uint64_t sender;
    uint32_t precedence; /* of the instance that gave the tag: FLOWD_PRECEDENCE_* */
    uint32_t end_reason; /* FLOWD_END_* */
    flowd_string application; /* the transfer application, for a firefly's context; at most 256 bytes; may be empty */
    flowd_string announcer;   /* the instance that gave the tag: "fireflyp/regional" */
    /* The rule by which the plugin announces it, "rules[2]"; at most 64 bytes; may be empty. Repeat it with the tag. */
    flowd_string rule;
    const flowd_attachment *attachments;
    size_t attachment_count;
    size_t attachment_stride;
    const flowd_sample *samples; /* ongoing with FLOWD_SAMPLED: at most one per enricher; otherwise null */
    size_t sample_count;
    size_t sample_stride;
} flowd_event;

/* A flow, as passed to enrichers and by flowd.flows/1; members as in a received flowd_event. Borrowed for the call. */
typedef struct flowd_flow {
    uint32_t size;
    uint32_t flags;
    uint64_t flow_id;
    flowd_key key;
    flowd_tag tag;
    int64_t start_time_ns;
    int64_t seen_time_ns; /* last announcement or refresh */
    int64_t end_time_ns;  /* 0: live */
    flowd_usage usage;
    uint8_t local;
    uint8_t initiator;
    uint8_t reserved[2];
    uint32_t announcers; /* number that announce it now: instances, and within each its senders */
    uint32_t precedence; /* of the instance that gave the tag */
    uint32_t end_reason; /* FLOWD_END_*; 0: live */
    uint64_t sender;     /* the first sender */
    flowd_string application;
    flowd_string announcer;
    flowd_string rule;
} flowd_flow;

#ifdef __cplusplus
}
#endif

#endif
