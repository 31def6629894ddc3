/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/findings.h: what is not as it should be, for `check`, `status`, metrics and alerts. Offered by modules:
 * by an instance of its own work (flowd_component.extension), and offline of the host as it would find it
 * (flowd_component.offline).
 */
#ifndef FLOWD_ABI_EXT_FINDINGS_H
#define FLOWD_ABI_EXT_FINDINGS_H

#include "../module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_FINDINGS "flowd.findings/1"

/*
 * One finding. Borrowed for the call. A healthy host has none. `id` is stable and documented with the module: it names
 * the kind, as "marker-hook-hidden"; with `subject` it tells one finding from another.
 */
typedef struct flowd_finding {
    uint32_t size;
    flowd_level severity;    /* FLOWD_LEVEL_INFO (a note), WARNING or ERROR */
    const char *id;          /* [a-z][a-z0-9-]* */
    flowd_string subject;    /* what it is about: "eth0", "collector.example.org"; may be empty */
    flowd_string found;      /* what is: "another program answers before ours"; never empty */
    flowd_string expected;   /* what should be; may be empty */
    flowd_string remedy;     /* one thing to do about it; never empty: what nobody can act on is no finding */
    int64_t since_ns;        /* Unix time when it was first seen; 0: unknown */
} flowd_finding;

/* Receives findings during one call, on its thread. Copied. */
typedef struct flowd_findings {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* FLOWD_OK; FLOWD_INVALID: id or severity is malformed, found or remedy empty; FLOWD_LIMIT: 256 of this instance
     * already. Texts of more than 1,024 bytes are cut. */
    flowd_result (*add)(const struct flowd_findings *findings, const flowd_finding *finding);
} flowd_findings;

typedef struct flowd_ext_findings {
    uint32_t size;
    uint32_t reserved;
    /* [instance] What this instance finds now. Must not block. Null offline. */
    flowd_result (*instance)(flowd_instance *instance, const flowd_findings *findings);
    /* [core] What an instance of this configuration would find on this host, without a daemon and without changing
     * anything; with the caller's rights. `host` and `config` as in flowd_component.validate. Null of an instance. */
    flowd_result (*offline)(const flowd_host *host, const flowd_value *config, const flowd_findings *findings);
} flowd_ext_findings;

#ifdef __cplusplus
}
#endif

#endif
