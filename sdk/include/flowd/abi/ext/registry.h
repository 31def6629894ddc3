/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/registry.h: experiment and activity names. Offered by the core. */
#ifndef FLOWD_ABI_EXT_REGISTRY_H
#define FLOWD_ABI_EXT_REGISTRY_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_REGISTRY "flowd.registry/1"

typedef struct flowd_ext_registry {
    uint32_t size;
    uint32_t reserved;
    /* [any] Id of a name, case-insensitive; FLOWD_NOT_FOUND leaves *id unchanged. */
    flowd_result (*experiment_id)(const flowd_host *host, flowd_string name, uint32_t *id);
    flowd_result (*activity_id)(const flowd_host *host, uint32_t experiment, flowd_string name, uint32_t *id);
    /* [any] Name of an id. *name is valid as long as the host; with FLOWD_NOT_FOUND it is empty. */
    flowd_result (*experiment_name)(const flowd_host *host, uint32_t id, flowd_string *name);
    flowd_result (*activity_name)(const flowd_host *host, uint32_t experiment, uint32_t id, flowd_string *name);
} flowd_ext_registry;

#ifdef __cplusplus
}
#endif

#endif
