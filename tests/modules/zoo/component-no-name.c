/* SPDX-License-Identifier: Apache-2.0 */
/* A component without a name. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .name = NULL}};
ZOO_MODULE(components)
