/* SPDX-License-Identifier: Apache-2.0 */
/* A loop of its own, but nothing that runs it. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .loop = FLOWD_LOOP_OWN}};
ZOO_MODULE(components)
