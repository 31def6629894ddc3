/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/acknowledge.h: a backend that takes events before they have been sent or are durable says when they are.
 * Offered by the core to backends.
 */
#ifndef FLOWD_ABI_EXT_ACKNOWLEDGE_H
#define FLOWD_ABI_EXT_ACKNOWLEDGE_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_ACKNOWLEDGE "flowd.acknowledge/1"

typedef struct flowd_ext_acknowledge {
    uint32_t size;
    uint32_t reserved;
    /*
     * [any] Of all flow events that on_events has handed to this instance, `settled`, counted from the first one, are not
     * its concern any more: sent, durable, refused or given up. Catch-all events are not counted. After the first call,
     * the marks of flowd.delivery/1 wait for this number instead of for what on_events has taken: call it with 0 in start.
     * A lower number than before has no effect. FLOWD_UNSUPPORTED: the instance is not a backend. FLOWD_STOPPED: the
     * instance was stopped. FLOWD_ERROR: start has not been called yet.
     */
    flowd_result (*acknowledge)(const flowd_host *host, uint64_t settled);
} flowd_ext_acknowledge;

#ifdef __cplusplus
}
#endif

#endif
