/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/descriptors.h: file descriptors that outlive an instance, and the sockets of the daemon's process. Offered
 * by the core.
 *
 * A descriptor is named after its resource, so that an instance that needs the resource finds it:
 *   udp:ADDRESS:PORT   tcp:ADDRESS:PORT   unix:PATH   fifo:PATH   and NAME/WHAT for a module's own ("marker/link:eth0")
 * with addresses in the form of RFC 5952 and IPv6 in brackets ("udp:[::1]:10514"). Descriptors come from systemd (socket
 * activation, FileDescriptorStore) or from an instance that a reload replaces or removes.
 */
#ifndef FLOWD_ABI_EXT_DESCRIPTORS_H
#define FLOWD_ABI_EXT_DESCRIPTORS_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_DESCRIPTORS "flowd.descriptors/1"

/* flowd_socket.flags. Open: a reader ignores unknown bits. */
enum {
    FLOWD_SOCKET_LISTENS = 1u << 0 /* a listening socket (socket(7), SO_ACCEPTCONN) */
};

/* A socket of this process, whichever part of it opened it. Addresses as in flowd_key, zero if unbound or not connected.
 * Borrowed. */
typedef struct flowd_socket {
    uint32_t size;
    uint32_t flags;  /* FLOWD_SOCKET_* */
    uint64_t cookie; /* socket cookie (socket(7), SO_COOKIE), as in flowd_sample and sock_diag(7); 0: unknown */
    uint8_t local[16];
    uint8_t remote[16];
    uint16_t local_port;  /* 0: unbound, or a raw socket */
    uint16_t remote_port; /* 0: not connected, or a raw socket */
    uint8_t protocol;     /* as in flowd_key */
    uint8_t reserved[3];
} flowd_socket;

/* Returns 0 to continue, anything else to end the visit. No lock is held. */
typedef int32_t (*flowd_socket_visitor)(void *user, const flowd_socket *socket);

typedef struct flowd_ext_descriptors {
    uint32_t size;
    uint32_t reserved;
    /* [instance] In prepare and reconfigure, and in stop after forget, to learn whether a successor has it. *fd is a
     * duplicate that the caller owns. FLOWD_NOT_FOUND: none is kept, create one. FLOWD_BUSY: it is kept by an instance
     * that remains. */
    flowd_result (*take)(const flowd_host *host, flowd_string name, int *fd);
    /* [instance] Keeps a duplicate for a successor under a name of 1 to 200 bytes, replacing one kept before, until
     * forget, or until the last instance that kept it is destroyed. */
    flowd_result (*keep)(const flowd_host *host, flowd_string name, int fd);
    void (*forget)(const flowd_host *host, flowd_string name); /* [instance] */
    /* [any] The IPv4 and IPv6 sockets of this process, opened by modules, by libraries or by the core, as they were at most
     * max_age_ns ago; 0: as they are now. A module uses them to recognise the daemon's own traffic, which is never a
     * flow, and to avoid sending to the daemon itself. The core examines all descriptors of the
     * process, once for all instances: do not call it for each event. There is no notification of changes, because the
     * kernel does not report that a library opened a socket. FLOWD_INVALID: max_age_ns is negative. */
    flowd_result (*sockets)(const flowd_host *host, int64_t max_age_ns, flowd_socket_visitor visitor, void *user);
} flowd_ext_descriptors;

#ifdef __cplusplus
}
#endif

#endif
