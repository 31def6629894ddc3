/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types that the watch's BPF program and its C++ side share: rules in, events out. Both include this file.
 * Addresses are the two 8-byte words of the 16-byte form, in network order (IPv4 as ::ffff:a.b.c.d); ports and ids are in
 * host order.
 */
#ifndef FLOWD_BPF_WATCH_TYPES_H
#define FLOWD_BPF_WATCH_TYPES_H

#include <linux/types.h>

#define WATCH_PROGRAM "flowd_watch"
#define WATCH_SOCKETS_MAP "watch_sockets"
#define WATCH_RULES_MAP "watch_rules"
#define WATCH_TAGS_MAP "watch_tags"
#define WATCH_SETTINGS_MAP "watch_settings"
#define WATCH_EVENTS_MAP "watch_events"
#define WATCH_COUNTS_MAP "watch_counts"

/* The verdict on a connection. */
enum {
    WATCH_NONE = 0,   /* nothing: no rule matched */
    WATCH_TAG = 1,    /* tag its socket, report its open and its close */
    WATCH_IGNORE = 2, /* nothing, and no later rule applies */
    WATCH_ASK = 3,    /* report its open and its close: user space decides what cannot be decided here */
    WATCH_NEXT = 4    /* as WATCH_TAG, with the next tag of watch_tags */
};

enum {
    WATCH_OUTGOING = 1, /* this host connected */
    WATCH_INCOMING = 2
};

struct watch_rule {
    __u64 local_network[2];
    __u64 local_mask[2];
    __u64 remote_network[2];
    __u64 remote_mask[2];
    __u64 cgroup;                                         /* id; that group and its descendants; 0: any */
    __u32 user;                                           /* compared if has_user is 1 */
    __u16 local_low, local_high, remote_low, remote_high; /* inclusive */
    __u8 has_user;
    __u8 direction; /* 0: any */
    __u8 verdict;
    __u8 reserved;
    __u32 experiment;
    __u32 activity;
};

/* Value of watch_sockets: the verdict for a socket. */
struct watch_state {
    __u32 verdict;
    __u32 experiment;
    __u32 activity;
    __u32 direction;
};

#define WATCH_MAX_RULES 256 /* in force; the map holds twice as many: a new list replaces the old one atomically */
#define WATCH_MAX_TAGS 256

struct watch_tag {
    __u32 experiment;
    __u32 activity;
};

/* The only value of watch_settings. Each member is read separately. */
struct watch_settings {
    __u64 network_namespace; /* inode number; sockets of others are ignored */
    __u32 process;           /* the process whose own connections are ignored */
    __u32 first_rule;        /* 0 or WATCH_MAX_RULES */
    __u32 rules;
    __u32 tags;
    __u32 random; /* 1: tags of watch_tags at random, 0: in turn */
    __u32 reserved;
};

enum { WATCH_OPENED = 1, WATCH_CLOSED = 2 };

/* An entry of the ring buffer. */
struct watch_event {
    __u64 cookie;
    __u64 time_ns; /* CLOCK_MONOTONIC */
    __u8 local[16];
    __u8 remote[16];
    __u64 cgroup; /* id, 0: not known */
    /* OPENED: 0. CLOSED: payload that the peer acknowledged, payload received, segments. */
    __u64 bytes_sent;
    __u64 bytes_received;
    __u32 segments_sent;
    __u32 segments_received;
    __u32 user;
    __u32 experiment; /* with verdict WATCH_TAG */
    __u32 activity;
    __u32 interface; /* to which the socket is bound */
    __u16 local_port;
    __u16 remote_port;
    __u8 kind;
    __u8 direction;
    __u8 verdict;
    __u8 fin_received; /* CLOSED: the peer's FIN was received */
};

/* Index of watch_counts. */
enum {
    WATCH_COUNT_OPENED,
    WATCH_COUNT_CLOSED,
    WATCH_COUNT_TAGGED,    /* sockets that were tagged before they sent */
    WATCH_COUNT_NO_ROOM,   /* events for which the ring buffer had no room */
    WATCH_COUNT_NO_MEMORY, /* sockets without memory for the tag */
    WATCH_COUNTS
};

#endif
