/* SPDX-License-Identifier: Apache-2.0 */
/* Fails without reporting an error. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result start(flowd_instance* instance) {
    (void)instance;
    return FLOWD_BUSY;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
