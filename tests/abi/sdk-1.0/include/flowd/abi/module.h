/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/module.h: the description of a module, and the life of an instance.
 *
 *      describe       the core reads the ELF note, then calls flowd_module_v1
 *         |
 *      configure      the core reads the YAML by the option table
 *         |
 *      validate       rules across options; no privileges, no side effects      (also `flowd-cpp check`)
 *         |
 *      create         from here on the instance's own thread; a failure ends here
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

typedef struct flowd_instance flowd_instance; /* the module's own */

/* Component kinds. */
enum {
    FLOWD_PLUGIN = 1,   /* a source of flow events */
    FLOWD_BACKEND = 2,  /* a sink of flow events */
    FLOWD_ENRICHER = 3  /* samples live connections */
};

/* Who runs the loop of the instance's thread. Open: the core refuses a component whose model it does not know. */
enum {
    FLOWD_LOOP_HOSTED = 0, /* the core */
    FLOWD_LOOP_OWN = 1     /* the module, in run() */
};

/* flowd_component.flags */
enum {
    /* reconfigure is called at every reload, also with the same values: for log rotation and files that are read
     * again. */
    FLOWD_COMPONENT_RECONFIGURE_ALWAYS = 1u << 0
};

/* Why an instance is stopped. Open: take a value that you do not know for FLOWD_STOP_REMOVED. */
enum {
    FLOWD_STOP_DAEMON_ENDS = 1, /* the daemon ends; another may follow (an upgrade) */
    FLOWD_STOP_REPLACED = 2,    /* a reload made a successor, which takes over descriptors and flows */
    FLOWD_STOP_REMOVED = 3,     /* it is no longer configured */
    FLOWD_STOP_FAILED = 4       /* prepare or start failed, here or in another instance of the same start */
};

/* Whose tag wins when several plugins announce one flow: the higher value, of 1 to 255; others may stand between
 * these. */
enum {
    FLOWD_PRECEDENCE_METER = 16,   /* seen on the wire, tagged by the catch-all (perfsonar) */
    FLOWD_PRECEDENCE_RULE = 32,    /* tagged by a rule (netlink, iperf3) */
    FLOWD_PRECEDENCE_EXPLICIT = 48 /* somebody said so (api, namedpipe, fireflyp) */
};

/* Receives samples from flowd_component.sample, during that call, on its thread. Copied. */
typedef struct flowd_samples {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* FLOWD_OK; FLOWD_INVALID: malformed, counted; FLOWD_LIMIT: the core has no room for more in this period, counted;
     * FLOWD_STOPPED: the period is over, counted. Go on with the next after the first two. */
    flowd_result (*add)(const struct flowd_samples *samples, const flowd_sample *sample);
} flowd_samples;

/*
 * One component of a module. Static. Callbacks answer FLOWD_OK or a negative result; what they do not need is null.
 * None may let a C++ exception out (the C++ layer of the SDK sees to that).
 */
typedef struct flowd_component {
    uint32_t size;
    uint32_t kind;              /* FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER */
    const char *name;           /* key in the YAML section of its kind: [a-z][a-z0-9]* */
    const char *summary;        /* one line */
    const char *const *aliases; /* other keys for it in that section, ended by NULL; may be null */
    uint32_t loop;              /* FLOWD_LOOP_* */
    uint32_t precedence;        /* plugins: FLOWD_PRECEDENCE_* */
    uint32_t accepts;           /* backends: bits 1 << FLOWD_EVENT_* of what they want; a re-tag comes as ONGOING */
    uint32_t flags;             /* FLOWD_COMPONENT_* */
    const flowd_option *options;
    size_t option_count;
    size_t option_stride;

    /* [core] Rules across options. `config` is a GROUP in the order of `options`. `host` is valid for the call, and good
     * for log and flowd.registry/1; everything else answers FLOWD_UNSUPPORTED or does nothing. Its `instance` is the key
     * that the instance has or would have in the configuration, "firefly/regional", and only in flowd-module-check the
     * component's name; its directories are null. Must not block: the daemon waits. Optional. */
    flowd_result (*validate)(const flowd_host *host, const flowd_value *config, const flowd_problems *problems);

    /* [instance] Makes an instance without touching the system. `host` lives as long as the instance. A create that fails
     * frees what it made: *instance is ignored, neither stop nor destroy follows. After one that succeeds both always
     * follow, on the same thread, unless the instance is abandoned. Required. */
    flowd_result (*create)(const flowd_host *host, const flowd_value *config, flowd_instance **instance);

    /* [instance] Privileged preparation. On a reload the predecessor may still be live: its descriptors are offered
     * through flowd.descriptors/1. Optional. */
    flowd_result (*prepare)(flowd_instance *instance);

    /* [instance] Begins work. Required. */
    flowd_result (*start)(flowd_instance *instance);

    /* [instance] FLOWD_LOOP_OWN only, and required there: runs the module's loop until dispatch answers FLOWD_STOPPED. */
    flowd_result (*run)(flowd_instance *instance);

    /* [instance] Ends work: flushes what is pending until deadline_ns of CLOCK_MONOTONIC, then gives up and says what
     * was lost. `reason` is FLOWD_STOP_*. Safe without start and twice. An instance that has not returned by then may be
     * abandoned: emit and post answer FLOWD_STOPPED, the host stays valid, destroy may never come. Required. */
    flowd_result (*stop)(flowd_instance *instance, int64_t deadline_ns, uint32_t reason);

    /* [instance] Frees it. Required. */
    void (*destroy)(flowd_instance *instance);

    /* [instance] Takes a new configuration while live; FLOWD_UNSUPPORTED: make a new instance instead. On any other
     * failure the old configuration must still be in force. It may be called again with the previous configuration, when
     * another instance could not follow. Optional. */
    flowd_result (*reconfigure)(flowd_instance *instance, const flowd_value *config);

    /*
     * [instance] Backends: events in order per flow, borrowed for the call. *taken is 0 before and says how many, from
     * the first on, the backend is responsible for from now on: sent, or durable.
     *   FLOWD_OK       all of them; *taken is not read
     *   FLOWD_FULL     the rest is offered again after flowd_host.ready, which may be called before this returns;
     *                  meanwhile the flow table remembers what this backend has to be told, and nobody else is held back
     *   FLOWD_INVALID  the event at *taken is refused for good, and counted; those behind it are offered at once
     * Any other result: those from *taken on are counted as failed and not offered again.
     * While the instance is being stopped the rest is offered until the deadline, before stop is called; what then
     * remains is counted and named in the log. Required of backends.
     */
    flowd_result (*on_events)(flowd_instance *instance, const flowd_event *events, size_t count, size_t stride,
                              size_t *taken);

    /* [instance] Enrichers: all live flows, once per period, in batches; `last` is 1 in the last one of the period,
     * which may come with no flows; it may be missing after a failure. In any call of a period samples of any of its flows
     * may be added, those of earlier and later batches included: at most one per flow and period. Of one flow the core
     * keeps eight a period, of all enrichers, and counts the others as shed. Required of enrichers. */
    flowd_result (*sample)(flowd_instance *instance, const flowd_flow *flows, size_t count, size_t stride, int32_t last,
                           const flowd_samples *samples);

    /* [instance] Plugins: there is room again. At least once after each FLOWD_FULL of emit, maybe before that emit has
     * returned on another thread; also without one, after a start that followed a predecessor. Never during or after
     * stop. Optional. */
    void (*on_room)(flowd_instance *instance);

    /* [instance] What this instance offers to the core: "flowd.command/1", "flowd.status/1", "flowd.findings/1",
     * "flowd.explain/1"; null for unknown ids. Asked once for each id that the core knows, after start has succeeded and
     * before any other call. The answer is valid until destroy. Optional. */
    const void *(*extension)(flowd_instance *instance, const char *id);

    /* [core] What the component offers without an instance, in whatever process loaded it: "flowd.tool/1",
     * "flowd.findings/1"; null for unknown ids. May be asked again and again. The answer is static. Optional. */
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
 * The one exported symbol. [core] Called after dlopen; answers a static struct, the same each time, never null.
 * `core_minor` is the ABI minor of the core, for modules that want to describe themselves differently.
 */
typedef const flowd_module *(*flowd_module_function)(uint32_t core_minor);
#define FLOWD_MODULE_SYMBOL "flowd_module_v1"
FLOWD_EXPORT const flowd_module *flowd_module_v1(uint32_t core_minor);

#ifdef __cplusplus
}
#endif

#endif
