/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is broken. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT}};
ZOO_MODULE(components)
