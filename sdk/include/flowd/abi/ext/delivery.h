/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/delivery.h: tells a plugin when all backends have taken its events, so that it can acknowledge them to
 * their source. Offered by the core to plugins.
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
     * [any] Calls callback(user) on the instance's thread once every live backend has taken, or refused permanently, all
     * events that this instance emitted before the call (whose emit had returned). A backend that is removed meanwhile
     * does not count. Callbacks of one instance come in the order of its marks, and not before mark has returned if it
     * is called on the instance's thread. Events that were shed, or that a backend failed to take,
     * count as refused. A mark has no deadline: a backend that takes nothing keeps it outstanding. FLOWD_LIMIT: 65,536
     * marks are outstanding. FLOWD_STOPPED: the instance was stopped. FLOWD_ERROR: start has not been called yet.
     * FLOWD_UNSUPPORTED: the instance is not a plugin. As with post, marks that are outstanding when stop is called may be
     * dropped without a call.
     */
    flowd_result (*mark)(const flowd_host *host, flowd_callback callback, void *user);
} flowd_ext_delivery;

#ifdef __cplusplus
}
#endif

#endif
