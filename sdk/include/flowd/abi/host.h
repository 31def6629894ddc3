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
 * Handles of resources that the core holds for an instance. They are numbers, never 0, and a host never reuses one. A call
 * with 0 or a handle that is no longer valid has no effect.
 */
typedef uint64_t flowd_watch;
typedef uint64_t flowd_timer;
typedef uint64_t flowd_metric;

/*
 * Conditions of a watch. FLOWD_IO_ERROR is always reported: for a pending error (EPOLLERR) and for a hang-up (EPOLLHUP:
 * both directions of a socket are closed, or the last writer of a pipe has closed it). read() tells which, after it has
 * returned the data that is left. A peer that only shut down its sending side is FLOWD_IO_READ, and read() returns 0.
 */
enum {
    FLOWD_IO_READ = 1u << 0,
    FLOWD_IO_WRITE = 1u << 1,
    FLOWD_IO_ERROR = 1u << 2
};

/* [instance] Callbacks of watch, timer and post: only while the instance is live, never after stop has returned. */
typedef void (*flowd_io_callback)(void *user, int fd, uint32_t ready);
typedef void (*flowd_callback)(void *user);

/* Open: metric_open returns FLOWD_UNSUPPORTED for an unknown type; readers of series skip unknown types. */
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

/* One time series. Copied by the core. The core adds the label `flowd_instance`; modules must not use that name, `le`,
 * `quantile` or names that begin with __. */
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

/* An input from outside that was refused: a datagram, a line, a request. Copied by the core. */
typedef struct flowd_refusal {
    uint32_t size;
    uint32_t reserved;   /* 0 */
    flowd_string reason; /* [a-z][a-z0-9_]*, at most 64 bytes: the value of the label `reason` */
    flowd_string sender; /* who sent it, as text: "[2001:db8::1]:4711", "uid 1000"; at most 128 bytes; may be empty */
    flowd_bytes first;   /* the first bytes of the input; the core keeps at most 128 */
} flowd_refusal;

/*
 * The services of the core for one instance. The struct and everything it points to are valid until destroy() has returned;
 * that of validate() and of tools until that call returns. Pass each call the host from which its pointer was read.
 */
struct flowd_host {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;
    void *context;            /* private to the core */
    const char *instance;     /* its key in the configuration: "firefly/regional" */
    const char *core_version; /* product version, for humans */
    /* Absolute paths of directories for this instance alone, which the module creates: the state directory survives a
     * reboot, the runtime directory does not. Null where there is none, as in a tool. */
    const char *state_directory;
    const char *runtime_directory;

    /* [any] One line of text, no newline. Lines below the configured level are cheap; repeats are rate-limited. */
    void (*log)(const flowd_host *host, flowd_level level, flowd_string message);

    /* [instance] A problem that needs action by the administrator. An error reported in create, prepare, start or
     * reconfigure explains why that call fails; later it becomes the instance's last error in `status`. */
    void (*report)(const flowd_host *host, const flowd_problem *problem);

    /*
     * [any] An input from outside was refused. Counted by reason (`flowd_refused_total`). The core keeps the last 256 of
     * all instances for `flowd-cpp refusals`, and logs at most one line a minute per instance and reason. Cheap: call it
     * for every refusal. FLOWD_INVALID: the reason is malformed.
     */
    flowd_result (*refused)(const flowd_host *host, const flowd_refusal *refusal);

    /*
     * [any] `count` events were lost: the instance had taken them, or they were unread in its socket or pipe. `what`
     * follows the number in the log: "datagrams were not read before the
     * stop". Counted per instance; when the daemon ends, its exit code says that events were lost. Input that a successor
     * or the service manager continues to hold is not lost.
     */
    void (*lost)(const flowd_host *host, uint64_t count, flowd_string what);

    /*
     * [any] The number for flowd_event.sender of the sender `identity`: the 16 bytes of an address as in flowd_key, or the
     * text "uid:1000" for a local user. Never 0. All loopback addresses have one number. All instances get the same number
     * for the same identity, for the life of the daemon; it cannot be predicted outside of the daemon.
     */
    uint64_t (*sender_id)(const flowd_host *host, flowd_bytes identity);

    /*
     * [any] Plugins: hands over events, in order, up to the first that is not accepted.
     *   FLOWD_OK           all were accepted
     *   FLOWD_FULL         a queue is full: offer the rest again after on_room, or discard and count them
     *   FLOWD_INVALID      the event at *accepted is malformed: counted; continue with the next
     *   FLOWD_LIMIT        the event at *accepted would exceed a limit of live flows: counted; continue with the next
     *   FLOWD_STOPPED      the instance was stopped: no further event will be accepted
     *   FLOWD_ERROR        start has not been called yet
     *   FLOWD_UNSUPPORTED  the instance is not a plugin
     * In all cases the first *accepted events were taken, and none after them. After FLOWD_NO_MEMORY, or a result that is
     * not listed, offer the rest again later. `accepted` may be null. `stride` is at least the size of
     * each event. `flow_ids` is null or has room for `count` ids: for each accepted event the id of its flow, 0 if it has
     * none (a catch-all; an end or ongoing of a flow that has ended). OK does not guarantee delivery: the core may shed
     * ongoing events, and counts them. A backend that returned FLOWD_FULL or no longer takes events never causes FLOWD_FULL
     * here. Never blocks.
     */
    flowd_result (*emit)(const flowd_host *host, const flowd_event *events, size_t count, size_t stride, size_t *accepted,
                         uint64_t *flow_ids);

    /* [any] Backends: after on_events has returned FLOWD_FULL, says that there is room. on_events is called again soon,
     * possibly before `ready` returns, on another thread. If called while on_events runs, from any thread, it applies to
     * the FLOWD_FULL that this on_events may return. Without a FLOWD_FULL it has no effect. */
    void (*ready)(const flowd_host *host);

    /* [any] Runs callback(user) on the instance's thread, after everything posted before. FLOWD_STOPPED once stop has
     * returned: the callback will not run. A callback that was accepted but has not run when stop is called may be dropped;
     * `user` remains the caller's. */
    flowd_result (*post)(const flowd_host *host, flowd_callback callback, void *user);

    /*
     * The loop. A hosted instance only uses watch and timer. An instance with its own loop also watches loop_fd for
     * reading and then calls dispatch, which makes all pending calls (events, posts, timers, watches, stop) on the
     * calling thread and never blocks. dispatch returns FLOWD_STOPPED after it has called stop: run() must then return.
     * Call it within run, not from a callback that it makes (FLOWD_INVALID). If run returns by itself, stop
     * follows.
     */
    int (*loop_fd)(const flowd_host *host);             /* [instance] owned by the core */
    flowd_result (*dispatch)(const flowd_host *host);   /* [instance] own loop only */

    /* [instance] all three. Level-triggered. The caller owns the descriptor; unwatch it before you close it. After
     * unwatch no callback follows; it may be called from the callback. One watch per descriptor (FLOWD_BUSY). Conditions
     * are FLOWD_IO_*, others are FLOWD_INVALID. rewatch returns FLOWD_NOT_FOUND for a handle that is not valid. */
    flowd_result (*watch)(const flowd_host *host, int fd, uint32_t conditions, flowd_io_callback callback, void *user,
                          flowd_watch *watch);
    flowd_result (*rewatch)(const flowd_host *host, flowd_watch watch, uint32_t conditions); /* 0 pauses */
    void (*unwatch)(const flowd_host *host, flowd_watch watch);

    /* [instance] both. First after delay_ns, then every period_ns; period 0: once. Missed periods are not made up. A timer
     * that has fired its only time remains valid until cancel. After cancel no callback follows; it may be called
     * from the callback. */
    flowd_result (*timer)(const flowd_host *host, int64_t delay_ns, int64_t period_ns, flowd_callback callback, void *user,
                          flowd_timer *timer);
    void (*cancel)(const flowd_host *host, flowd_timer timer);

    /* [any] all five. The same name, type and labels give the same series; each open returns a handle that is valid until
     * its metric_remove. destroy removes the rest. A series with other handles remains. metric_set adds to a counter the
     * increase since the last set by this handle (the first: since 0), so that a successor's total may restart at 0;
     * a total that is smaller than the last adds nothing. FLOWD_LIMIT: too many series. */
    flowd_result (*metric_open)(const flowd_host *host, const flowd_metric_info *info, flowd_metric *metric);
    void (*metric_add)(const flowd_host *host, flowd_metric metric, double amount); /* COUNTER (not negative), GAUGE */
    void (*metric_set)(const flowd_host *host, flowd_metric metric, double value);  /* GAUGE; COUNTER: a total */
    void (*metric_observe)(const flowd_host *host, flowd_metric metric, double value); /* HISTOGRAM */
    void (*metric_remove)(const flowd_host *host, flowd_metric metric);

    /* [any] An extension of the core by id and revision, "flowd.registry/1", or null. Static for the life of the host.
     * May be called repeatedly; the result is the same. */
    const void *(*extension)(const flowd_host *host, const char *id);
};

#ifdef __cplusplus
}
#endif

#endif
