/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/descriptors.h: file descriptors that outlive an instance, and the sockets that the daemon holds. Offered
 * by the core.
 *
 * A descriptor has the name of the resource it stands for, so that whoever prepares for that resource finds it:
 *   udp:ADDRESS:PORT   tcp:ADDRESS:PORT   unix:PATH   fifo:PATH   and NAME/WHAT for a module's own ("marker/link:eth0")
 * with addresses in the form of RFC 5952 and IPv6 in brackets ("udp:[::1]:10514"). They come from systemd (socket
 * activation, FileDescriptorStore) or from an instance that a reload replaces or removes.
 */
#ifndef FLOWD_ABI_EXT_DESCRIPTORS_H
#define FLOWD_ABI_EXT_DESCRIPTORS_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_DESCRIPTORS "flowd.descriptors/1"

/* A socket of this process, whoever opened it. Addresses as in flowd_key, zero when unbound or not connected.
 * Borrowed. */
typedef struct flowd_socket {
    uint32_t size;
    uint8_t protocol; /* 6 TCP, 17 UDP */
    uint8_t reserved;
    uint16_t local_port;
    uint16_t remote_port; /* 0: not connected */
    uint8_t local[16];
    uint8_t remote[16];
    uint8_t reserved2[6];
} flowd_socket;

/* Answers 0 to go on, anything else to end the visit. No lock is held. */
typedef int32_t (*flowd_socket_visitor)(void *user, const flowd_socket *socket);

typedef struct flowd_ext_descriptors {
    uint32_t size;
    uint32_t reserved;
    /* [instance] In prepare and reconfigure, and in stop after forget, to see whether a successor has it. *fd is a
     * duplicate that belongs to the caller. FLOWD_NOT_FOUND: none is kept, make one; FLOWD_BUSY: it is that of an
     * instance that stays. */
    flowd_result (*take)(const flowd_host *host, flowd_string name, int *fd);
    /* [instance] Keeps a duplicate for a successor under a name of 1 to 200 bytes, in place of one kept before, until
     * forget or until the last instance that kept it is gone. */
    flowd_result (*keep)(const flowd_host *host, flowd_string name, int fd);
    void (*forget)(const flowd_host *host, flowd_string name); /* [instance] */
    /* [any] The internet sockets that this process holds, as they were at most a second ago: so that the daemon's own
     * traffic is told from others', and is not sent to itself. */
    flowd_result (*sockets)(const flowd_host *host, flowd_socket_visitor visitor, void *user);
} flowd_ext_descriptors;

#ifdef __cplusplus
}
#endif

#endif
