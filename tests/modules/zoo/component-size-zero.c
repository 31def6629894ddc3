/* SPDX-License-Identifier: Apache-2.0 */
/* The component's size was never set. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .size = 0}};
ZOO_MODULE(components)
