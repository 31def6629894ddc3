/* SPDX-License-Identifier: Apache-2.0 */
/* Answers what means nothing. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result start(flowd_instance* instance) {
    (void)instance;
    return 4711;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
