/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/findings.h: detected problems, for `check`, `status`, metrics and alerts. Offered by modules: by an
 * instance about its own work (flowd_component.extension), and by a component, without an instance, about this host
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
 * One finding. Borrowed for the call. A healthy host has none. `id` is stable and documented with the module. It names
 * the kind of finding, "marker-hook-hidden"; id and `subject` together identify a finding.
 */
typedef struct flowd_finding {
    uint32_t size;
    flowd_level severity;    /* FLOWD_LEVEL_INFO (a note), WARNING or ERROR */
    const char *id;          /* [a-z][a-z0-9-]* */
    flowd_string subject;    /* what it concerns: "eth0", "collector.example.org"; may be empty */
    flowd_string found;      /* the actual state: "another program answers before ours"; never empty */
    flowd_string expected;   /* the expected state; may be empty */
    flowd_string remedy;     /* one remedy; never empty: without a remedy it is not a finding */
    int64_t since_ns;        /* Unix time when it was first seen; 0: unknown */
} flowd_finding;

/* Receives findings during one call, on its thread. Copied. */
typedef struct flowd_findings {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* FLOWD_OK; FLOWD_INVALID: id or severity is malformed, found or remedy empty; FLOWD_LIMIT: 256 of this instance
     * already. Texts over 1,024 bytes are truncated. */
    flowd_result (*add)(const struct flowd_findings *findings, const flowd_finding *finding);
} flowd_findings;

typedef struct flowd_ext_findings {
    uint32_t size;
    uint32_t reserved;
    /* [instance] The current findings of this instance. Must not block. Null in the offline extension. */
    flowd_result (*instance)(flowd_instance *instance, const flowd_findings *findings);
    /* [core] The findings that an instance of this configuration would have on this host, without a daemon, with the
     * caller's rights, and without changes. `host` and `config` as in flowd_component.validate. Null in an instance's. */
    flowd_result (*offline)(const flowd_host *host, const flowd_value *config, const flowd_findings *findings);
} flowd_ext_findings;

#ifdef __cplusplus
}
#endif

#endif
