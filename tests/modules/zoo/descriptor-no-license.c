/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor ends before the license: a required member is cut off. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT}};
const flowd_module* flowd_module_v1(uint32_t core_minor) {
    static const flowd_module module = {ZOO_DESCRIPTOR(components), .size = offsetof(flowd_module, license)};
    (void)core_minor;
    return &module;
}
