/* SPDX-License-Identifier: Apache-2.0 */
/* Frees in stop, and a second stop frees again. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)reason;
    (void)deadline_ns;
    if (instance->host == NULL) abort();
    instance->host = NULL;
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .stop = stop}};
ZOO_MODULE(components)
