/* SPDX-License-Identifier: Apache-2.0 */
/* A flag of a later minor. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .flags = 1u << 31}};
ZOO_MODULE(components)
