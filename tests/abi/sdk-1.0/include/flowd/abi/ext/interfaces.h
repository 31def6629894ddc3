/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/interfaces.h: which instance works on which network interfaces, and why those. Offered by the core.
 */
#ifndef FLOWD_ABI_EXT_INTERFACES_H
#define FLOWD_ABI_EXT_INTERFACES_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_INTERFACES "flowd.interfaces/1"

/* What an instance does on an interface. Open: pass over entries whose use you do not know. */
enum {
    FLOWD_INTERFACE_MARKS = 1, /* writes tags into packets that leave by it */
    FLOWD_INTERFACE_METERS = 2 /* counts the packets of flows on it */
};

/* One interface of one instance. Publishing: borrowed for the call and copied. Visiting: borrowed for the call. */
typedef struct flowd_interface {
    uint32_t size;
    uint32_t use;          /* FLOWD_INTERFACE_* */
    uint32_t index;        /* 0: it does not exist now */
    uint32_t reserved;     /* 0 */
    flowd_string name;     /* "eth0" */
    flowd_string why;      /* why it was chosen: "configured", "default route in table 201"; may be empty */
    flowd_string instance; /* whose it is; set by the core */
} flowd_interface;

/* Answers 0 to go on, anything else to end the visit. No lock is held: the calls below may be made. */
typedef int32_t (*flowd_interface_visitor)(void *user, const flowd_interface *interface);

typedef struct flowd_ext_interfaces {
    uint32_t size;
    uint32_t reserved;
    /* [instance] Replaces what this instance had published; a count of 0 withdraws it, and so does destroy. FLOWD_LIMIT:
     * more than 4,096. */
    flowd_result (*publish)(const flowd_host *host, const flowd_interface *interfaces, size_t count, size_t stride);
    /* [any] All that is published, by all instances. */
    flowd_result (*visit)(const flowd_host *host, flowd_interface_visitor visitor, void *user);
    /* [instance] From now on callback(user) is called on the instance's thread after each change by another instance,
     * several changes perhaps by one call. Null ends it. It begins with one call when something is published already. */
    flowd_result (*on_change)(const flowd_host *host, flowd_callback callback, void *user);
} flowd_ext_interfaces;

#ifdef __cplusplus
}
#endif

#endif
