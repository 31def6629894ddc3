/* SPDX-License-Identifier: Apache-2.0 */
/* Wants to be reconfigured at every reload and cannot be. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .flags = FLOWD_COMPONENT_RECONFIGURE_ALWAYS}};
ZOO_MODULE(components)
