/* SPDX-License-Identifier: Apache-2.0 */
/* A null pointer. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)reason;
    volatile int* nothing = NULL;
    (void)instance;
    (void)deadline_ns;
    return *nothing;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .stop = stop}};
ZOO_MODULE(components)
