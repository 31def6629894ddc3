/* SPDX-License-Identifier: Apache-2.0 */
/* Only the symbol tells that the module is for another major. */
#include "zoo.h"

ZOO_NOTE;
FLOWD_EXPORT const flowd_module* flowd_module_v2(uint32_t core_minor);
const flowd_module* flowd_module_v2(uint32_t core_minor) {
    (void)core_minor;
    return NULL;
}
