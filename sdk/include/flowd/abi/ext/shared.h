/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/shared.h: descriptors that one instance offers to instances of other modules, a BPF map for example.
 * Offered by the core.
 *
 * A name stands for a layout that both sides know: "vendor.name/revision". Those of this SDK:
 *   flowd.socketTags/1  BPF_MAP_TYPE_SK_STORAGE of { uint32_t experiment; uint32_t activity; } in host order: the tag of a
 *                       socket whose flow has not been announced yet. A backend that marks offers it, plugins fill it in.
 *   flowd.socketTaggers/1  any descriptor, offered by a plugin as long as it fills that in; without one, a backend need not
 *                       look the tags up.
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
    /* [instance] Offers a duplicate of `fd` under a name of 1 to 200 bytes until withdraw or destroy. Of several offers
     * the latest is obtained, whoever made it; when it ends, the one before is in force again. */
    flowd_result (*offer)(const flowd_host *host, flowd_string name, int fd);
    void (*withdraw)(const flowd_host *host, flowd_string name); /* [instance] */
    /* [any] *fd is a duplicate that belongs to the caller. *generation changes with every new offer. `generation` may be
     * null. FLOWD_NOT_FOUND: no instance offers it now. */
    flowd_result (*obtain)(const flowd_host *host, flowd_string name, int *fd, uint64_t *generation);
    /* [instance] From now on callback(user) is called on the instance's thread after each change of who offers `name`,
     * several changes perhaps by one call. A null callback ends it. It begins with one call when it is offered
     * already. */
    flowd_result (*on_change)(const flowd_host *host, flowd_string name, flowd_callback callback, void *user);
} flowd_ext_shared;

#ifdef __cplusplus
}
#endif

#endif
