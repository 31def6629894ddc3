/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/daemon.h: what the running daemon answers, for tools, which run in another process. Offered by the core
 * to tools only (flowd_tool_call.host).
 */
#ifndef FLOWD_ABI_EXT_DAEMON_H
#define FLOWD_ABI_EXT_DAEMON_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_DAEMON "flowd.daemon/1"

typedef struct flowd_ext_daemon {
    uint32_t size;
    uint32_t reserved;
    /* [any] Sends words to the running daemon as `flowd-cpp WORD... --json` does, and writes its JSON value to `answer`.
     * Blocks until it has answered, at most 35 s. FLOWD_NOT_FOUND: no daemon answers; FLOWD_DENIED: not this user; any
     * other error: it refused, and `answer` has a JSON object whose member "error" says why. */
    flowd_result (*ask)(const flowd_host *host, const flowd_string *words, size_t count, const flowd_writer *answer);
} flowd_ext_daemon;

#ifdef __cplusplus
}
#endif

#endif
