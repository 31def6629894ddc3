/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/delivery.h: knowing when events have been taken by every backend, so that their source can be
 * acknowledged. Offered by the core to plugins.
 */
#ifndef FLOWD_ABI_EXT_DELIVERY_H
#define FLOWD_ABI_EXT_DELIVERY_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_DELIVERY "flowd.delivery/1"

typedef struct flowd_ext_delivery {
    uint32_t size;
    uint32_t reserved;
    /*
     * [any] Calls callback(user) on the instance's thread once every backend that lives now has taken, or refused for
     * good, all that this instance emitted before the call (whose emit had returned); a backend that is removed meanwhile
     * no longer counts. Marks of one instance are called back in the order in which they were made, and not before mark
     * has returned when it is called on the instance's thread. Events that were shed or that a backend failed to take
     * count as refused. A mark has no deadline: a backend that takes nothing keeps it outstanding. FLOWD_LIMIT: 65,536
     * marks are outstanding. FLOWD_STOPPED: the instance was stopped. FLOWD_ERROR: start has not been called yet.
     * FLOWD_UNSUPPORTED: the instance is not a plugin. As with post, what is outstanding when stop is called may be
     * dropped without a call.
     */
    flowd_result (*mark)(const flowd_host *host, flowd_callback callback, void *user);
} flowd_ext_delivery;

#ifdef __cplusplus
}
#endif

#endif
