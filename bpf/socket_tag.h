/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tag of a socket, for marking from its first packet on. A sockops or cgroup program that runs before the socket
 * sends writes the tag into the socket's storage, and the marker reads it there. No table look-up is needed, and the tag
 * is freed with the socket.
 *
 * The marker creates the map and shares its descriptor with other instances (FLOWD_SHARED_SOCKET_TAGS of
 * flowd/abi/ext/shared.h). It reads socket tags only while a plugin offers FLOWD_SHARED_SOCKET_TAGGERS. A flow's own
 * entry in the marker takes precedence over its socket's tag, and that over the catch-all.
 */
#ifndef FLOWD_BPF_SOCKET_TAG_H
#define FLOWD_BPF_SOCKET_TAG_H

#include <linux/types.h>

/* BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, key int, value struct socket_tag. */
#define SOCKET_TAGS_MAP "socket_tags"

/* 0/0: no valid tag; such packets are not marked by the catch-all either. */
struct socket_tag {
    __u32 experiment;
    __u32 activity;
};

#endif
