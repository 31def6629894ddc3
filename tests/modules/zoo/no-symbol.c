/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is exported. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT}};
const flowd_component* zoo_unused(void);
const flowd_component* zoo_unused(void) {
    return components;
}
