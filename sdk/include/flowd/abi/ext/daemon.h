/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/daemon.h: what the running daemon answers. Offered by the core: to tools (flowd_tool_call.host), which run
 * in another process, with `ask`; to instances with `request`.
 */
#ifndef FLOWD_ABI_EXT_DAEMON_H
#define FLOWD_ABI_EXT_DAEMON_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_DAEMON "flowd.daemon/1"

/* The answer to one request, on the instance's thread. `answer` is borrowed for the call: one JSON value; if `result` is
 * negative, an object whose member "error" says why. */
typedef void (*flowd_answered)(void* user, flowd_result result, flowd_string answer);

typedef struct flowd_ext_daemon {
    uint32_t size;
    uint32_t reserved;
    /* [any] Sends words to the running daemon as `flowd-cpp WORD... --json` does, and writes its JSON value to `answer`.
     * Blocks until it has answered, at most 35 s. FLOWD_NOT_FOUND: no daemon answers; FLOWD_DENIED: not this user; any
     * other error: it refused, and `answer` has a JSON object whose member "error" says why. */
    flowd_result (*ask)(const flowd_host* host, const flowd_string* words, size_t count, const flowd_writer* answer);
    /* [any] The same for an instance, which must not block: `answered` is called once, unless the instance stops before.
     * Only queries are answered; what changes state is FLOWD_DENIED. Null for tools, as `ask` is for instances.
     * FLOWD_LIMIT: 16 requests of this instance are outstanding; FLOWD_STOPPED: the instance or the daemon stops. */
    flowd_result (*request)(const flowd_host* host, const flowd_string* words, size_t count, flowd_answered answered,
                            void* user);
} flowd_ext_daemon;

#ifdef __cplusplus
}
#endif

#endif
