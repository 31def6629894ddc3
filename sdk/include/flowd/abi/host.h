/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/host.h: what the core offers to one instance.
 */
#ifndef FLOWD_ABI_HOST_H
#define FLOWD_ABI_HOST_H

#include "base.h"
#include "event.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct flowd_host flowd_host;

/*
 * Handles of what the core keeps for an instance. They are numbers, never 0 and never used twice by one host: a stale
 * one, or 0, does nothing.
 */
typedef uint64_t flowd_watch;
typedef uint64_t flowd_timer;
typedef uint64_t flowd_metric;

/*
 * Conditions of a watch. FLOWD_IO_ERROR is always reported: for a pending error (EPOLLERR) and for a hang-up (EPOLLHUP:
 * both directions of a socket are closed, or the last writer of a pipe has gone). read() tells which, after what is still
 * there. A peer that has only finished sending is FLOWD_IO_READ, and read() answers 0.
 */
enum {
    FLOWD_IO_READ = 1u << 0,
    FLOWD_IO_WRITE = 1u << 1,
    FLOWD_IO_ERROR = 1u << 2
};

/* [instance] Callbacks of watch, timer and post: only while the instance is live, never after stop has returned. */
typedef void (*flowd_io_callback)(void *user, int fd, uint32_t ready);
typedef void (*flowd_callback)(void *user);

/* Open: metric_open answers FLOWD_UNSUPPORTED for a type that it does not know; who reads series passes over such. */
enum {
    FLOWD_METRIC_COUNTER = 1,
    FLOWD_METRIC_GAUGE = 2,
    FLOWD_METRIC_HISTOGRAM = 3
};

typedef struct flowd_label {
    uint32_t size;
    uint32_t reserved;
    flowd_string name;  /* [a-zA-Z_][a-zA-Z0-9_]* */
    flowd_string value; /* UTF-8 */
} flowd_label;

/* One time series. Copied by the core. The core adds the label `flowd_instance`; that name, `le`, `quantile` and names
 * that begin with __ are not for modules. */
typedef struct flowd_metric_info {
    uint32_t size;
    uint32_t type;
    flowd_string name; /* Prometheus name without the prefix flowd_, not in bus_; counters end in _total */
    flowd_string help;
    flowd_string unit; /* "bytes", "seconds"; may be empty */
    const flowd_label *labels;
    size_t label_count;
    size_t label_stride;
    const double *bounds; /* HISTOGRAM: upper bounds, ascending, without +Inf */
    size_t bound_count;
} flowd_metric_info;

/* Something that was refused from outside: a datagram, a line, a request. Copied by the core. */
typedef struct flowd_refusal {
    uint32_t size;
    uint32_t reserved;   /* 0 */
    flowd_string reason; /* [a-z][a-z0-9_]*, at most 64 bytes: the value of the label `reason` */
    flowd_string sender; /* who sent it, as text: "[2001:db8::1]:4711", "uid 1000"; at most 128 bytes; may be empty */
    flowd_bytes first;   /* its first bytes; the core keeps at most 128 */
} flowd_refusal;

/*
 * The services of the core for one instance. The struct and everything it points to live until destroy() has returned;
 * the one of validate() and of tools until that call returns. Every call takes the host that it was read from.
 */
struct flowd_host {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;
    void *context;            /* the core's own */
    const char *instance;     /* its key in the configuration: "firefly/regional" */
    const char *core_version; /* product version, for humans */
    /* Absolute names of directories for this instance alone, not made yet: state outlives a reboot, runtime does not.
     * Null where there is no such directory, as in a tool. */
    const char *state_directory;
    const char *runtime_directory;

    /* [any] One line of text, no newline. Lines below the configured level are cheap; repeats are rate-limited. */
    void (*log)(const flowd_host *host, flowd_level level, flowd_string message);

    /* [instance] Something that an administrator has to act on. An error reported in create, prepare, start or
     * reconfigure explains that call's failure; later it becomes the instance's last error in `status`. */
    void (*report)(const flowd_host *host, const flowd_problem *problem);

    /*
     * [any] Something from outside was refused. Counted by reason (`flowd_refused_total`); the core keeps the last 256 of
     * all instances for whoever looks, and logs at most one line a minute for each instance and reason. Cheap: call it
     * for each. FLOWD_INVALID: the reason is malformed.
     */
    flowd_result (*refused)(const flowd_host *host, const flowd_refusal *refusal);

    /*
     * [any] `count` events, or what would have become events, are given up: the instance had taken them over, or they
     * waited for it in its socket or pipe. `what` follows the number in the log: "datagrams were not read before the
     * stop". Counted for the instance; when the daemon ends, its exit code says that something was lost. What a successor
     * or the service manager goes on with is not lost.
     */
    void (*lost)(const flowd_host *host, uint64_t count, flowd_string what);

    /*
     * [any] The number for flowd_event.sender of who is named by `identity`: the 16 bytes of an address as in flowd_key,
     * or the text "uid:1000" for a local user. Never 0. All loopback addresses have one number. Whoever asks gets the
     * same number for the same identity, for the life of the daemon; it cannot be foreseen outside of it.
     */
    uint64_t (*sender_id)(const flowd_host *host, flowd_bytes identity);

    /*
     * [any] Plugins: hands over events, in order, until one is not accepted.
     *   FLOWD_OK           all were accepted
     *   FLOWD_FULL         a queue is full: offer the rest again after on_room, or shed and count
     *   FLOWD_INVALID      the event at *accepted is malformed: counted; go on behind it
     *   FLOWD_LIMIT        the event at *accepted would exceed a limit of live flows: counted; go on behind it
     *   FLOWD_STOPPED      the instance was stopped: nothing will be accepted any more
     *   FLOWD_ERROR        start has not been called yet
     *   FLOWD_UNSUPPORTED  the instance is not a plugin
     * Whatever the answer, *accepted events from the first on were taken, and none behind them. After FLOWD_NO_MEMORY, or
     * a result that is not listed, offer the rest again later. `accepted` may be null. `stride` is at least the size of
     * each event. `flow_ids` is null or has room for `count`: for each accepted event the id of its flow, 0 when it has
     * none (a catch-all; an end or ongoing of a flow that has ended). OK does not promise delivery: ongoing may be shed,
     * which the core counts. A backend that answered FLOWD_FULL or has stopped taking never causes FLOWD_FULL here. Never
     * blocks.
     */
    flowd_result (*emit)(const flowd_host *host, const flowd_event *events, size_t count, size_t stride, size_t *accepted,
                         uint64_t *flow_ids);

    /* [any] Backends: on_events answered FLOWD_FULL before and can take more now. on_events is called again soon, maybe
     * before `ready` has returned on another thread. Called while on_events runs, by itself or by another thread, it holds
     * for the FLOWD_FULL that this call may answer. Otherwise, without a FLOWD_FULL before it, it does nothing. */
    void (*ready)(const flowd_host *host);

    /* [any] Runs callback(user) on the instance's thread, after everything posted before. FLOWD_STOPPED once stop has
     * returned: then the callback will never run. What was accepted and has not run when stop is called may be dropped
     * without a call: `user` stays the caller's. */
    flowd_result (*post)(const flowd_host *host, flowd_callback callback, void *user);

    /*
     * The loop. Hosted instances just use watch and timer. An instance with a loop of its own also watches loop_fd for
     * reading and then calls dispatch, which makes every call that is due (events, posts, timers, watches, stop) on the
     * caller's thread and never blocks. dispatch answers FLOWD_STOPPED when stop has been called: run() has to return.
     * It is called within run, and not from a callback that it makes (FLOWD_INVALID). If run returns by itself, stop
     * follows.
     */
    int (*loop_fd)(const flowd_host *host);             /* [instance] owned by the core */
    flowd_result (*dispatch)(const flowd_host *host);   /* [instance] own loop only */

    /* [instance] all three. Level-triggered. The descriptor stays the caller's; unwatch it before it is closed. After
     * unwatch no callback follows; it may be called from the callback. One watch a descriptor: FLOWD_BUSY. Conditions are
     * FLOWD_IO_*, others FLOWD_INVALID. rewatch answers FLOWD_NOT_FOUND for a stale handle. */
    flowd_result (*watch)(const flowd_host *host, int fd, uint32_t conditions, flowd_io_callback callback, void *user,
                          flowd_watch *watch);
    flowd_result (*rewatch)(const flowd_host *host, flowd_watch watch, uint32_t conditions); /* 0 pauses */
    void (*unwatch)(const flowd_host *host, flowd_watch watch);

    /* [instance] both. First after delay_ns, then every period_ns; period 0: once. A late period is not made up for. A
     * timer that has fired its only time stays valid until cancel. After cancel no callback follows; it may be called
     * from the callback. */
    flowd_result (*timer)(const flowd_host *host, int64_t delay_ns, int64_t period_ns, flowd_callback callback, void *user,
                          flowd_timer *timer);
    void (*cancel)(const flowd_host *host, flowd_timer timer);

    /* [any] all five. The same name, type and labels give the same series, and each open a handle that is good until
     * its metric_remove; destroy removes what is left. A series that others still hold stays. metric_set gives a counter
     * what the total grew by since this handle's last set (the first: since 0), so that a successor's total may begin
     * again; a total that is smaller than before counts for nothing. FLOWD_LIMIT: too many series. */
    flowd_result (*metric_open)(const flowd_host *host, const flowd_metric_info *info, flowd_metric *metric);
    void (*metric_add)(const flowd_host *host, flowd_metric metric, double amount); /* COUNTER (not negative), GAUGE */
    void (*metric_set)(const flowd_host *host, flowd_metric metric, double value);  /* GAUGE; COUNTER: a total */
    void (*metric_observe)(const flowd_host *host, flowd_metric metric, double value); /* HISTOGRAM */
    void (*metric_remove)(const flowd_host *host, flowd_metric metric);

    /* [any] An extension of the core by id and revision, "flowd.registry/1", or null. Static for the life of the host.
     * Ask as often as you like; the answer is the same. */
    const void *(*extension)(const flowd_host *host, const char *id);
};

#ifdef __cplusplus
}
#endif

#endif
