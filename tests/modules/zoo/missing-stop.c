/* SPDX-License-Identifier: Apache-2.0 */
/* A required member is null. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .stop = NULL}};
ZOO_MODULE(components)
