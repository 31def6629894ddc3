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
typedef struct flowd_watch flowd_watch;   /* owned by the core, ended by unwatch */
typedef struct flowd_timer flowd_timer;   /* owned by the core, ended by cancel */
typedef struct flowd_metric flowd_metric; /* owned by the core, ended by metric_remove */

/* Conditions of a watch; FLOWD_IO_ERROR is always reported. */
enum {
    FLOWD_IO_READ = 1u << 0,
    FLOWD_IO_WRITE = 1u << 1,
    FLOWD_IO_ERROR = 1u << 2
};

/* [instance] Callbacks of watch, timer and post: only while the instance is live, never after stop has returned. */
typedef void (*flowd_io_callback)(void *user, int fd, uint32_t ready);
typedef void (*flowd_callback)(void *user);

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

/* One time series. Copied by the core. The core adds the label `flowd_instance`; that name, `le`, `quantile` and names that
 * begin with __ are not for modules. */
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

/*
 * The services of the core for one instance. The struct and everything it points to live until destroy() has returned.
 * Every call takes the host it was read from.
 */
struct flowd_host {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;
    void *context;            /* the core's own */
    const char *instance;     /* "firefly/regional" */
    const char *core_version; /* product version, for humans */

    /* [any] One line of text, no newline. Lines below the configured level are cheap; repeats are rate-limited. */
    void (*log)(const flowd_host *host, flowd_level level, flowd_string message);

    /* [instance] Something an administrator has to act on. An error reported in create, prepare, start or reconfigure
     * explains that call's failure; later it becomes the instance's last error in `status`. */
    void (*report)(const flowd_host *host, const flowd_problem *problem);

    /*
     * [any] Plugins: hands over events, in order, until one is not accepted. *accepted tells how many were.
     *   FLOWD_OK       all were
     *   FLOWD_FULL     queues are full: offer the rest again after on_room, or shed and count
     *   FLOWD_INVALID  the event at *accepted is malformed: counted; go on behind it
     *   FLOWD_LIMIT    the event at *accepted would exceed a cap on live flows: counted; go on behind it
     *   FLOWD_STOPPED  the instance was stopped
     *   FLOWD_ERROR    start has not been called yet
     *   FLOWD_UNSUPPORTED  the instance is no plugin
     * With any other negative result none from *accepted on was taken, and none of them may be skipped. `accepted` may
     * be null. `stride` is at least the size of each event. OK does not promise delivery: ongoing may be shed, which
     * the core counts. Never blocks on a backend.
     */
    flowd_result (*emit)(const flowd_host *host, const flowd_event *events, size_t count, size_t stride, size_t *accepted);

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

    /* [instance] Level-triggered. The fd stays the caller's and must outlive the watch. */
    flowd_result (*watch)(const flowd_host *host, int fd, uint32_t conditions, flowd_io_callback callback, void *user,
                          flowd_watch **watch);
    flowd_result (*rewatch)(const flowd_host *host, flowd_watch *watch, uint32_t conditions); /* [instance] */
    void (*unwatch)(const flowd_host *host, flowd_watch *watch); /* [instance] no callback follows; may be called from it */

    /* [instance] First after delay_ns, then every period_ns; period 0: once. A late period is not made up for. A timer
     * that has fired its only time stays valid until cancel. */
    flowd_result (*timer)(const flowd_host *host, int64_t delay_ns, int64_t period_ns, flowd_callback callback, void *user,
                          flowd_timer **timer);
    void (*cancel)(const flowd_host *host, flowd_timer *timer); /* [instance] no callback follows; may be called from it */

    /* [any] all five. The same name, type and labels give the same series, and each open a handle that is good until
     * its metric_remove; destroy removes what is left. A series that others still hold stays. metric_set gives a counter
     * what the total grew by since this handle's last set (the first: since 0), so that a successor's total may begin anew;
     * a total that is smaller than before counts for nothing. */
    flowd_result (*metric_open)(const flowd_host *host, const flowd_metric_info *info, flowd_metric **metric); /* FLOWD_LIMIT: too many series */
    void (*metric_add)(const flowd_host *host, flowd_metric *metric, double amount); /* COUNTER (not negative), GAUGE */
    void (*metric_set)(const flowd_host *host, flowd_metric *metric, double value);  /* GAUGE; COUNTER: a total kept elsewhere */
    void (*metric_observe)(const flowd_host *host, flowd_metric *metric, double value); /* HISTOGRAM */
    void (*metric_remove)(const flowd_host *host, flowd_metric *metric);

    /* [any] An extension of the core by id and revision, "flowd.registry/1", or null. Static for the life of the host. */
    const void *(*extension)(const flowd_host *host, const char *id);
};

#ifdef __cplusplus
}
#endif

#endif
