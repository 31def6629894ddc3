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
 * Value type. Identity of a flow as announced: addresses are 16 bytes in network order, IPv4 as IPv4-mapped address
 * (RFC 4291 section 2.5.5.2); ports in host byte order; protocol as in the IPv6 next header field (6 TCP, 17 UDP).
 * Protocols without ports have 0 in both; ICMP and ICMPv6 echo have their identifier in both, so that a reply is the same
 * tuple reversed.
 * `scope` is the inode number of the network namespace (ls -i /proc/PID/ns/net); 0 is the daemon's own. The core replaces
 * the number of the daemon's own namespace by 0.
 * `zone` is the interface index that link-local addresses belong to (RFC 4007), when either end is in fe80::/10 or
 * ff02::/16; 0: unknown. The core sets it to 0 for all other addresses. Flows that differ in zone or scope are different
 * flows. The marker's label table has neither: such flows share one entry, and the flow that started last sets its label.
 * VLAN, VRF, mark and flow label are not part of a flow's identity.
 * Malformed, and refused by this core or a later one: an unspecified address, port 0 with TCP, UDP or SCTP, and two equal
 * ends.
 * The core matches a flow in both directions of the tuple and keeps the orientation of its first announcement.
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
 * Who measured a usage. Open: values are compared as numbers, the higher one is believed. The core keeps the usage of the
 * highest source that a flow has had and ignores lower ones from then on.
 */
enum {
    FLOWD_USAGE_UNKNOWN = 0,
    FLOWD_USAGE_METER = 16,       /* packets counted on an interface */
    FLOWD_USAGE_APPLICATION = 32, /* the program that transfers said so */
    FLOWD_USAGE_KERNEL = 48       /* the socket's own counters (struct tcp_info) */
};

/* flowd_usage.known: what was measured. Numbers that are not known are 0. Closed. */
enum {
    FLOWD_USAGE_BYTES = 1u << 0,
    FLOWD_USAGE_PACKETS = 1u << 1
};

/*
 * Value type. Layer 4 payload bytes, and packets; "sent" is from source to destination. Totals since the flow's start,
 * never differences. In what the core delivers, totals of a flow never fall: when a source begins again at 0, what it had
 * counted before is added.
 */
typedef struct flowd_usage {
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t packets_sent;
    uint64_t packets_received;
    uint32_t source; /* FLOWD_USAGE_UNKNOWN and the like */
    uint32_t known;  /* FLOWD_USAGE_BYTES, FLOWD_USAGE_PACKETS; 0: nothing was measured */
} flowd_usage;

/* Kinds of event, also as bits (1 << kind) in flowd_component.accepts. */
enum {
    FLOWD_EVENT_START = 1,
    FLOWD_EVENT_ONGOING = 2,
    FLOWD_EVENT_END = 3,
    /* From now on everything without a flow of its own carries `tag`. Key, flow_id, usage, rule, attachments and times but
     * time_ns are zero in both catch-all events. */
    FLOWD_EVENT_CATCH_ALL = 4,
    FLOWD_EVENT_CATCH_ALL_CLEAR = 5 /* the catch-all is withdrawn */
};

/* Which end of the key is this host. Closed. */
enum {
    FLOWD_LOCAL_UNKNOWN = 0,
    FLOWD_LOCAL_SOURCE = 1,
    FLOWD_LOCAL_DESTINATION = 2,
    FLOWD_LOCAL_BOTH = 3,
    FLOWD_LOCAL_NONE = 4 /* forwarded, or announced by another host about its own flow */
};

/* Which end of the key opened the flow. Closed. */
enum {
    FLOWD_INITIATOR_UNKNOWN = 0,
    FLOWD_INITIATOR_SOURCE = 1,
    FLOWD_INITIATOR_DESTINATION = 2
};

/*
 * flowd_event.flags and flowd_flow.flags. The first group is set by plugins, the second by the core alone. A flow has a
 * flag of the first group when all instances that announce it now set it; that is evaluated again when one joins or
 * leaves.
 */
enum {
    /* Announced over the network, a firefly for example: who sent it, named by the attachment flowd.peer/1 where it is
     * known, and both ends of the flow may know it already. A backend does not tell it to the former, and to the latter
     * only when it was configured to. */
    FLOWD_LEARNT_REMOTELY = 1u << 0,
    FLOWD_METERED = 1u << 1,     /* observed by a meter, not announced: ends by flows.idleTimeout */
    FLOWD_NOT_TO_PEER = 1u << 2, /* the flow's far end must not be told of it; collectors may */

    FLOWD_RETAGGED = 1u << 16, /* ongoing: `tag` differs from what this backend was told before; never shed */
    FLOWD_RESYNC = 1u << 17,   /* repeated from the flow table: the backend is new or had missed it */
    FLOWD_NO_START = 1u << 18, /* end: the flow was never seen to start */
    FLOWD_SAMPLED = 1u << 19   /* ongoing of the core: samples of a period, or usage of a meter */
};

/*
 * Why a flow ended. Open: a reader takes a value that it does not know for FLOWD_END_UNKNOWN. A plugin sets ANNOUNCED,
 * IDLE, SOCKET_GONE or WITHDRAWN in an end (0 is taken for ANNOUNCED) and 0 in everything else; other values are refused.
 */
enum {
    FLOWD_END_UNKNOWN = 0,
    FLOWD_END_ANNOUNCED = 1,    /* an announcer said so */
    FLOWD_END_IDLE = 2,         /* metered, and silent for flows.idleTimeout */
    FLOWD_END_AGE = 3,          /* announced, and not refreshed for flows.maxAge */
    FLOWD_END_SOCKET_GONE = 4,  /* the kernel has no such socket any more */
    FLOWD_END_SAMPLE_GONE = 5,  /* an enricher said FLOWD_SAMPLE_GONE */
    FLOWD_END_WITHDRAWN = 6     /* its last announcer stopped or was removed: the flow itself may live on */
};

/*
 * Bytes that travel with an event. Emitting: borrowed for the call, copied once by the core. Receiving: shared by all
 * backends, read-only, valid until on_events returns.
 * With FLOWD_ATTACHMENT_KEEP it stays with the flow: it replaces what was kept under the same id, or removes that when it
 * has no bytes. Any event of a flow may carry such, and so may a sample of an enricher. What is kept is part of every
 * event of the flow that a backend receives from then on, those that the core makes or repeats included; an attachment of
 * the event itself replaces one of the same id. 16 KiB and 64 attachments are kept per flow, and as much in all as the
 * core has room for; what exceeds either is not kept, and counted. Without the flag it is part of this event alone, and
 * missing where the event is repeated (FLOWD_RESYNC). One event, or one sample, brings at most 64 attachments of 256 KiB
 * together; otherwise it is FLOWD_INVALID.
 * Ids have 1 to 128 bytes and are "vendor.name/revision"; those of this SDK:
 *   flowd.datagram/1  a firefly exactly as it was received
 *   flowd.peer/1      who sent it: address and port as text in the form of RFC 5952, "[2001:db8::1]:10514"
 *   flowd.json/NAME   one top-level JSON value to be repeated in a firefly under NAME (no revision)
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
    FLOWD_SAMPLE_GONE = 1u << 0 /* the kernel no longer knows this flow: the core ends it */
};

/*
 * What an enricher knows of one live flow at one moment. Borrowed: valid until the receiving call returns. An enricher
 * adds at most one for each flow in each period (flowd_component.sample), whatever the number of batches.
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
    const flowd_attachment *attachments; /* added: with FLOWD_ATTACHMENT_KEEP only. Received: null, the event has them. */
    size_t attachment_count;
    size_t attachment_stride;
} flowd_sample;

/*
 * A flow event. Times are nanoseconds of Unix time, 0 for unknown.
 * Emitting: set kind, key, tag and what is known; precedence and announcer are 0 or empty, and flags of the core are
 * refused. flow_id is 0, or the id that emit answered before: then the event counts only while that flow lives, and is
 * otherwise swallowed (its id is answered as 0); so a plugin learns that its flow has ended without asking. Repeat the tag
 * in every start and ongoing, for another tag re-tags; the tag of an end counts only for a flow that was never seen. An
 * end before its start is taken as an end at its start, and counted. Texts longer than allowed are cut at the start of a
 * UTF-8 character.
 * Receiving: flow_id, start_time_ns, tag, usage, sender, precedence, announcer, rule and application are those of the flow
 * table, whichever announcement led to the event. start and end reach a backend once each, but after a reload a start
 * with FLOWD_RESYNC may repeat what the predecessor was told: take it as an upsert.
 * Of several that announce a flow, one instance has given the tag: precedence, announcer and rule are of that one, and
 * rule is of its latest start or ongoing, empty when that had none. When that instance ends its announcement and others
 * go on, announcer and rule stay and precedence is 0 until another gives the tag. sender is who announced the flow first.
 * application is the first that was named; one that comes with the tag replaces it.
 */
typedef struct flowd_event {
    uint32_t size;
    uint32_t kind;
    uint32_t flags;
    uint8_t local;     /* FLOWD_LOCAL_* */
    uint8_t initiator; /* FLOWD_INITIATOR_* */
    uint8_t reserved[2]; /* 0 */
    uint64_t flow_id; /* unique for the life of the daemon; never 0 in what a backend receives */
    flowd_key key;
    flowd_tag tag;
    int64_t time_ns; /* when the event happened; the core fills it when 0 */
    int64_t start_time_ns;
    int64_t end_time_ns;
    flowd_usage usage;
    /* Who told the plugin, as flowd_host.sender_id answers; 0: not told apart. It is the unit of flows.maxPerSource, and
     * of the senders of one instance only those that announced a flow can end it; received: who announced it first. */
    uint64_t sender;
    uint32_t precedence; /* of the instance that gave the tag: FLOWD_PRECEDENCE_* */
    uint32_t end_reason; /* FLOWD_END_* */
    flowd_string application; /* the program that transfers, for a firefly's context; at most 256 bytes; may be empty */
    flowd_string announcer;   /* the instance that gave the tag: "fireflyp/regional" */
    /* Why the plugin announces it, as "rules[2]"; at most 64 bytes; may be empty. Repeat it with the tag. */
    flowd_string rule;
    const flowd_attachment *attachments;
    size_t attachment_count;
    size_t attachment_stride;
    const flowd_sample *samples; /* ongoing with FLOWD_SAMPLED: one of each enricher, maybe none; else null */
    size_t sample_count;
    size_t sample_stride;
} flowd_event;

/* A flow, as enrichers and flowd.flows/1 see it; members as in a received flowd_event. Borrowed for the call. */
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
    uint32_t announcers; /* how many announce it now: instances, and within one instance its senders */
    uint32_t precedence; /* of the instance that gave the tag */
    uint32_t end_reason; /* FLOWD_END_*; 0: live */
    uint64_t sender;     /* who announced it first */
    flowd_string application;
    flowd_string announcer;
    flowd_string rule;
} flowd_flow;

#ifdef __cplusplus
}
#endif

#endif
