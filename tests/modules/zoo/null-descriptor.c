/* SPDX-License-Identifier: Apache-2.0 */
/* The entry answers null. */
#include "zoo.h"

ZOO_NOTE;
const flowd_module* flowd_module_v1(uint32_t core_minor) {
    (void)core_minor;
    return NULL;
}
