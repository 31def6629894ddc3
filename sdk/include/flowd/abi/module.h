/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/module.h: the description of a module, and the lifecycle of an instance.
 *
 *      describe       the core reads the ELF note, then calls flowd_module_v1
 *         |
 *      configure      the core reads the YAML by the option table
 *         |
 *      validate       rules across options; no privileges, no side effects      (also `flowd-cpp check`)
 *         |
 *      create         from here on the instance's own thread; after a failure nothing follows
 *         |
 *      prepare -----. sockets, BPF; may take descriptors ---.
 *         |                                                 | a failure goes to
 *      start  <----.  events may be emitted from here on ---| stop, destroy
 *         |        |                                        |
 *        live -----'  on_events, sample, on_room, callbacks, reconfigure, run
 *         |                                                 |
 *      stop  <----------------------------------------------'
 *         |           flush until the deadline; safe without start, and twice
 *      destroy        afterwards no call into the instance
 */
#ifndef FLOWD_ABI_MODULE_H
#define FLOWD_ABI_MODULE_H

#include "base.h"
#include "event.h"
#include "host.h"
#include "option.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct flowd_instance flowd_instance; /* private to the module */

/* Component kinds. */
enum {
    FLOWD_PLUGIN = 1,   /* a source of flow events */
    FLOWD_BACKEND = 2,  /* a sink of flow events */
    FLOWD_ENRICHER = 3  /* samples live connections */
};

/* Who runs the event loop of the instance's thread. Open: the core refuses a component with an unknown value. */
enum {
    FLOWD_LOOP_HOSTED = 0, /* the core */
    FLOWD_LOOP_OWN = 1     /* the module, in run() */
};

/* flowd_component.flags */
enum {
    /* reconfigure is called at every reload, even if nothing changed: for log rotation, and for files that are to be read
     * again. */
    FLOWD_COMPONENT_RECONFIGURE_ALWAYS = 1u << 0
};

/* Why an instance is stopped. Open: treat an unknown value as FLOWD_STOP_REMOVED. */
enum {
    FLOWD_STOP_DAEMON_ENDS = 1, /* the daemon ends; another may start (an upgrade) */
    FLOWD_STOP_REPLACED = 2,    /* a reload created a successor, which takes over descriptors and flows */
    FLOWD_STOP_REMOVED = 3,     /* it is no longer configured */
    FLOWD_STOP_FAILED = 4       /* prepare or start failed, here or in another instance of the same start */
};

/* Whose tag applies if several plugins announce one flow: that of the highest value. 1 to 255; values between these are
 * allowed. */
enum {
    FLOWD_PRECEDENCE_METER = 16,   /* observed packets, tagged by the catch-all (perfsonar) */
    FLOWD_PRECEDENCE_RULE = 32,    /* tagged by a rule (netlink, iperf3) */
    FLOWD_PRECEDENCE_EXPLICIT = 48 /* announced with its tag (api, namedpipe, fireflyp) */
};

/* Receives samples during flowd_component.sample, on its thread. Copied. */
typedef struct flowd_samples {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* FLOWD_OK; FLOWD_INVALID: malformed, counted; FLOWD_LIMIT: the core has no room for more in this period, counted;
     * FLOWD_STOPPED: the period is over, counted. After the first three, continue with the next sample. */
    flowd_result (*add)(const struct flowd_samples *samples, const flowd_sample *sample);
} flowd_samples;

/*
 * One component of a module. Static. Callbacks return FLOWD_OK or a negative result; unused ones are null.
 * No C++ exception may leave a callback (the C++ layer of the SDK catches them).
 */
typedef struct flowd_component {
    uint32_t size;
    uint32_t kind;              /* FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER */
    const char *name;           /* key in the YAML section of its kind: [a-z][a-z0-9]* */
    const char *summary;        /* one line */
    const char *const *aliases; /* other keys for it in that section, ended by NULL; may be null */
    uint32_t loop;              /* FLOWD_LOOP_* */
    uint32_t precedence;        /* plugins: FLOWD_PRECEDENCE_* */
    uint32_t accepts;           /* backends: bits 1 << FLOWD_EVENT_* to receive; a re-tag is an ONGOING */
    uint32_t flags;             /* FLOWD_COMPONENT_* */
    const flowd_option *options;
    size_t option_count;
    size_t option_stride;

    /* [core] Checks rules across options. `config` is a GROUP in the order of `options`. `host` is valid for the call, for
     * log and flowd.registry/1 only: other calls return FLOWD_UNSUPPORTED or have no effect. Its `instance` is the key
     * that the instance has or would have in the configuration, "firefly/regional", and only in flowd-module-check the
     * component's name; its directories are null. Must not block: the daemon waits. Optional. */
    flowd_result (*validate)(const flowd_host *host, const flowd_value *config, const flowd_problems *problems);

    /* [instance] Creates an instance without using system resources. `host` lives as long as the instance. A create that
     * fails frees what it allocated: *instance is ignored, and neither stop nor destroy follows. After a success both
     * follow, on the same thread, unless the instance is abandoned. Required. */
    flowd_result (*create)(const flowd_host *host, const flowd_value *config, flowd_instance **instance);

    /* [instance] Preparation that needs privileges, and flowd.interfaces/1 (publish). All instances of a start are prepared
     * before any is started. On a reload the predecessor may still be live: see flowd.descriptors/1. Optional. */
    flowd_result (*prepare)(flowd_instance *instance);

    /* [instance] Begins work. Required. */
    flowd_result (*start)(flowd_instance *instance);

    /* [instance] FLOWD_LOOP_OWN only, and required there: runs the module's loop until dispatch returns FLOWD_STOPPED. */
    flowd_result (*run)(flowd_instance *instance);

    /* [instance] Ends work: flushes pending data until deadline_ns of CLOCK_MONOTONIC, then gives up and reports what
     * was lost. `reason` is FLOWD_STOP_*. Safe without start, and twice. An instance that has not returned by then may be
     * abandoned: emit and post return FLOWD_STOPPED, the host stays valid, destroy may never be called. Required. */
    flowd_result (*stop)(flowd_instance *instance, int64_t deadline_ns, uint32_t reason);

    /* [instance] Frees it. Required. */
    void (*destroy)(flowd_instance *instance);

    /* [instance] Applies a new configuration while live. FLOWD_UNSUPPORTED: create a new instance instead. After any other
     * failure the old configuration must still be in force. It may be called again with the previous configuration, if
     * another instance could not apply its own. Optional. */
    flowd_result (*reconfigure)(flowd_instance *instance, const flowd_value *config);

    /*
     * [instance] Backends: events in order per flow, borrowed for the call. *taken is 0 before the call, and after it the
     * number of events, from the first on, for which the backend is now responsible: sent, or durable.
     *   FLOWD_OK       all of them; *taken is not read
     *   FLOWD_FULL     the rest is offered again after flowd_host.ready, which may be called before this returns;
     *                  meanwhile the flow table records what this backend still has to be sent, and no other is delayed
     *   FLOWD_INVALID  the event at *taken is refused permanently, and counted; those after it are offered at once
     * Any other result: the events from *taken on are counted as failed and not offered again.
     * While the instance is being stopped, the rest is offered until the deadline, before stop is called; events that
     * then remain are counted and logged. Required of backends.
     */
    flowd_result (*on_events)(flowd_instance *instance, const flowd_event *events, size_t count, size_t stride,
                              size_t *taken);

    /* [instance] Enrichers: all live flows, once per period, in batches. `last` is 1 in the last batch of a period, which
     * may have no flows; after a failure it may be missing. Any call of a period may add samples of any flow of that
     * period, including flows of earlier and later batches: at most one per flow and period. Of one flow the core
     * keeps eight samples per period, from all enrichers, and counts others as shed. Required of enrichers. */
    flowd_result (*sample)(flowd_instance *instance, const flowd_flow *flows, size_t count, size_t stride, int32_t last,
                           const flowd_samples *samples);

    /* [instance] Plugins: there is room again. Called at least once after each FLOWD_FULL of emit, possibly before that
     * emit has returned on another thread; also without one, after a start that followed a predecessor. Never during or
     * after stop. Optional. */
    void (*on_room)(flowd_instance *instance);

    /* [instance] An extension that this instance offers to the core: "flowd.command/1", "flowd.status/1",
     * "flowd.findings/1", "flowd.explain/1"; null for unknown ids. Called once for each id that the core knows, after start
     * has succeeded and before any other call. The result is valid until destroy. Optional. */
    const void *(*extension)(flowd_instance *instance, const char *id);

    /* [core] An extension that the component offers without an instance, in any process that loads it: "flowd.tool/1",
     * "flowd.findings/1", "flowd.plan/1"; null for unknown ids. May be called repeatedly. The result is static.
     * Optional. */
    const void *(*offline)(const char *id);
} flowd_component;

/* One module. Static. */
typedef struct flowd_module {
    uint32_t size;
    uint32_t abi_major; /* FLOWD_ABI_MAJOR it was compiled with */
    uint32_t abi_minor;
    uint32_t reserved;
    const char *name;    /* of the file, for humans: "backend-firefly" */
    const char *version; /* of the module */
    const char *license; /* SPDX expression */
    const flowd_component *components;
    size_t component_count;
    size_t component_stride;
} flowd_module;

/*
 * The one exported symbol. [core] Called after dlopen; returns a static struct, the same each time, never null.
 * `core_minor` is the ABI minor of the core, for modules that describe themselves differently to an older core.
 */
typedef const flowd_module *(*flowd_module_function)(uint32_t core_minor);
#define FLOWD_MODULE_SYMBOL "flowd_module_v1"
FLOWD_EXPORT const flowd_module *flowd_module_v1(uint32_t core_minor);

#ifdef __cplusplus
}
#endif

#endif
