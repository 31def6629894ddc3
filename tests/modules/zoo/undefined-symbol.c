/* SPDX-License-Identifier: Apache-2.0 */
/* Linked without -z defs: what it calls exists nowhere. */
#include "zoo.h"

ZOO_NOTE;
void zoo_function_of_nobody(void);
static flowd_result start(flowd_instance* instance) {
    (void)instance;
    zoo_function_of_nobody();
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
