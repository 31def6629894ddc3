/* SPDX-License-Identifier: Apache-2.0 */
/* Refuses on a reload the options that are in force. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result reconfigure(flowd_instance* instance, const flowd_value* config) {
    (void)instance;
    (void)config;
    return FLOWD_INVALID;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .reconfigure = reconfigure}};
ZOO_MODULE(components)
