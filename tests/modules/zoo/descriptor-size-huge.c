/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor's size is garbage. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT}};
const flowd_module* flowd_module_v1(uint32_t core_minor) {
    static const flowd_module module = {ZOO_DESCRIPTOR(components), .size = 0xfffffff0u};
    (void)core_minor;
    return &module;
}
