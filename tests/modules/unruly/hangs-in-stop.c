/* SPDX-License-Identifier: Apache-2.0 */
/* Never comes back. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
#include <unistd.h>
static flowd_result stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)reason;
    (void)instance;
    while (deadline_ns != 0) pause();
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .stop = stop}};
ZOO_MODULE(components)
