/* SPDX-License-Identifier: Apache-2.0 */
/* Needs a library that is not installed. */
#include "zoo.h"

ZOO_NOTE;
void zoo_function_of_absent_library(void);
static flowd_result start(flowd_instance* instance) {
    (void)instance;
    zoo_function_of_absent_library();
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
