/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/status.h: what an instance adds to `flowd-cpp status`. Offered by modules. */
#ifndef FLOWD_ABI_EXT_STATUS_H
#define FLOWD_ABI_EXT_STATUS_H

#include "../module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_STATUS "flowd.status/1"

typedef struct flowd_ext_status {
    uint32_t size;
    uint32_t reserved;
    /*
     * [instance] Writes one JSON object. Two members are reserved, and optional:
     *   "summary"  a string of at most 60 columns without control characters: the current activity, as "marks eth0"
     *   "state"    a string: "ok", "degraded" or "failed"; readers treat others as "degraded"
     * All others are defined by the module.
     */
    flowd_result (*status)(flowd_instance *instance, const flowd_writer *answer);
} flowd_ext_status;

#ifdef __cplusplus
}
#endif

#endif
