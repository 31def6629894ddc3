/* SPDX-License-Identifier: Apache-2.0 */
/* Crashes when the reason of stop is one of a later minor. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)instance;
    (void)deadline_ns;
    if (reason > FLOWD_STOP_FAILED) abort();
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .stop = stop}};
ZOO_MODULE(components)
