/* SPDX-License-Identifier: Apache-2.0 */
/* No such precedence. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .precedence = 4711}};
ZOO_MODULE(components)
