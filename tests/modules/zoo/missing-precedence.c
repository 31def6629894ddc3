/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin has to say whose tag wins. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .precedence = 0}};
ZOO_MODULE(components)
