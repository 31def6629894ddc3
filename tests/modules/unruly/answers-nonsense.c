/* SPDX-License-Identifier: Apache-2.0 */
/* Answers a result that the ABI does not have. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result start(flowd_instance* instance) {
    (void)instance;
    return 4711;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
