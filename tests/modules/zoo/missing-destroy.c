/* SPDX-License-Identifier: Apache-2.0 */
/* The struct ends before a required member. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .size = offsetof(flowd_component, destroy)}};
ZOO_MODULE(components)
