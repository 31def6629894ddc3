/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/flows.h: looking at the flow table. Offered by the core. */
#ifndef FLOWD_ABI_EXT_FLOWS_H
#define FLOWD_ABI_EXT_FLOWS_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_FLOWS "flowd.flows/1"

/* Answers 0 to go on, anything else to end the visit. The flow is borrowed. Must not emit or block;
 * no lock is held, so visit and find may be called. */
typedef int32_t (*flowd_flow_visitor)(void *user, const flowd_flow *flow);

typedef struct flowd_ext_flows {
    uint32_t size;
    uint32_t reserved;
    /* [any] Live flows, in no order. A flow that starts or ends meanwhile may or may not be seen; none is seen twice. */
    flowd_result (*visit)(const flowd_host *host, flowd_flow_visitor visitor, void *user);
    /* [any] The flow of a tuple, in either direction, to the visitor; FLOWD_NOT_FOUND when there is none. */
    flowd_result (*find)(const flowd_host *host, const flowd_key *key, flowd_flow_visitor visitor, void *user);
    /* [any] How many there are now. */
    uint64_t (*count)(const flowd_host *host);
} flowd_ext_flows;

#ifdef __cplusplus
}
#endif

#endif
