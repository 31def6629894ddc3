/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/shared.h: descriptors that one instance offers to instances of other modules, for example a BPF map.
 * Offered by the core.
 *
 * A name identifies a layout that both sides know: "vendor.name/revision". Those of this SDK:
 *   flowd.socketTags/1  BPF_MAP_TYPE_SK_STORAGE of { uint32_t experiment; uint32_t activity; } in host order: the tag of a
 *                       socket whose flow has not been announced yet. A marking backend offers it, plugins write to it.
 *   flowd.socketTaggers/1  any descriptor, offered by a plugin while it writes tags to that map; without it, a backend can
 *                       omit the look-up of tags.
 */
#ifndef FLOWD_ABI_EXT_SHARED_H
#define FLOWD_ABI_EXT_SHARED_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_SHARED "flowd.shared/1"
#define FLOWD_SHARED_SOCKET_TAGS "flowd.socketTags/1"
#define FLOWD_SHARED_SOCKET_TAGGERS "flowd.socketTaggers/1"

typedef struct flowd_ext_shared {
    uint32_t size;
    uint32_t reserved;
    /* [instance] Offers a duplicate of `fd` under a name of 1 to 200 bytes until withdraw or destroy. If several instances
     * offer it, the latest offer is obtained; when that ends, the previous one is in force again. */
    flowd_result (*offer)(const flowd_host *host, flowd_string name, int fd);
    void (*withdraw)(const flowd_host *host, flowd_string name); /* [instance] */
    /* [any] *fd is a duplicate that the caller owns. *generation changes with every new offer; the pointer may be
     * null. FLOWD_NOT_FOUND: no instance offers it now. */
    flowd_result (*obtain)(const flowd_host *host, flowd_string name, int *fd, uint64_t *generation);
    /* [instance] From now on callback(user) is called on the instance's thread after changes of the offers of `name`; one
     * call may stand for several changes. A null callback ends it. If it is offered already, one call
     * follows. */
    flowd_result (*on_change)(const flowd_host *host, flowd_string name, flowd_callback callback, void *user);
} flowd_ext_shared;

#ifdef __cplusplus
}
#endif

#endif
