/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/explain.h: what an instance did with given flows, and why. Offered by modules. */
#ifndef FLOWD_ABI_EXT_EXPLAIN_H
#define FLOWD_ABI_EXT_EXPLAIN_H

#include "../module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_EXPLAIN "flowd.explain/1"

/* flowd_explanation.flags. Open: a reader ignores unknown bits. */
enum {
    FLOWD_EXPLAINED_NOT = 1u << 0,   /* something was not done (marked, sent, announced), and this is why */
    FLOWD_EXPLAINED_LABEL = 1u << 1, /* `label` is set */
    FLOWD_EXPLAINED_TAG = 1u << 2    /* `tag` is set */
};

/* One fact about one flow. Borrowed for the call. */
typedef struct flowd_explanation {
    uint32_t size;
    uint32_t flow;       /* index in the batch that was asked about */
    const char *verdict; /* stable and documented with the module: "marked", "no-interface"; [a-z][a-z0-9-]* */
    flowd_string subject; /* what it concerns: an interface, a collector; may be empty */
    flowd_string text;   /* one sentence; never empty */
    int64_t time_ns;     /* Unix time since when it is so; 0: unknown */
    uint32_t flags;      /* FLOWD_EXPLAINED_* */
    uint32_t label;      /* IPv6 flow label of the flow's packets, 20 bits */
    flowd_tag tag;       /* that this instance gives to the flow; its precedence decides whether the flow has it */
} flowd_explanation;

/* Receives explanations during one call, on its thread. Copied. */
typedef struct flowd_explanations {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* FLOWD_OK; FLOWD_INVALID: malformed; FLOWD_LIMIT: 64 for this flow already. Texts over 1,024 bytes are truncated. */
    flowd_result (*add)(const struct flowd_explanations *explanations, const flowd_explanation *explanation);
} flowd_explanations;

typedef struct flowd_ext_explain {
    uint32_t size;
    uint32_t reserved;
    /* [instance] Explains each of these flows; a flow that does not concern this instance gets no explanation.
     * flow_id is 0 for a tuple that is not in the flow table. Must not block. */
    flowd_result (*explain)(flowd_instance *instance, const flowd_flow *flows, size_t count, size_t stride,
                            const flowd_explanations *explanations);
} flowd_ext_explain;

#ifdef __cplusplus
}
#endif

#endif
