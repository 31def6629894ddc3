/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/interfaces.h: the network interfaces on which each instance works, and why. Offered by the core.
 */
#ifndef FLOWD_ABI_EXT_INTERFACES_H
#define FLOWD_ABI_EXT_INTERFACES_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_INTERFACES "flowd.interfaces/1"

/* What an instance does on an interface. Open: skip entries with an unknown use. */
enum {
    FLOWD_INTERFACE_MARKS = 1, /* marks packets that leave through it */
    FLOWD_INTERFACE_METERS = 2 /* counts the packets of flows on it */
};

/* flowd_interface.marks: the packets of tagged flows that are marked. Modules ignore unknown bits. */
enum {
    FLOWD_MARKS_IPV6 = 1u << 0,
    FLOWD_MARKS_IPV4 = 1u << 1,
    FLOWD_MARKS_FORWARDED = 1u << 2 /* also those that this host only forwards */
};

/* One interface of one instance. Publishing: borrowed for the call and copied. Visiting: borrowed for the call. */
typedef struct flowd_interface {
    uint32_t size;
    uint32_t use;          /* FLOWD_INTERFACE_* */
    uint32_t index;        /* 0: it does not exist now */
    uint32_t marks;        /* of FLOWD_INTERFACE_MARKS: FLOWD_MARKS_*; 0: packets are not changed, only counted */
    flowd_string name;     /* "eth0" */
    flowd_string why;      /* why it was selected: "configured", "default route in table 201"; may be empty */
    flowd_string instance; /* the instance that published it; set by the core */
} flowd_interface;

/* Returns 0 to continue, anything else to end the visit. No lock is held: the calls below are allowed. */
typedef int32_t (*flowd_interface_visitor)(void *user, const flowd_interface *interface);

typedef struct flowd_ext_interfaces {
    uint32_t size;
    uint32_t reserved;
    /* [instance] Replaces the list of this instance; a count of 0 withdraws it, and so does destroy. Publish in prepare:
     * all instances of a start are prepared before any is started, so start can read all. FLOWD_LIMIT: over 4,096. */
    flowd_result (*publish)(const flowd_host *host, const flowd_interface *interfaces, size_t count, size_t stride);
    /* [any] All published interfaces, of all instances. */
    flowd_result (*visit)(const flowd_host *host, flowd_interface_visitor visitor, void *user);
    /* [instance] From now on callback(user) is called on the instance's thread after changes by other instances; one call
     * may stand for several changes. A null callback ends it. If something is published already, one call follows. */
    flowd_result (*on_change)(const flowd_host *host, flowd_callback callback, void *user);
} flowd_ext_interfaces;

#ifdef __cplusplus
}
#endif

#endif
