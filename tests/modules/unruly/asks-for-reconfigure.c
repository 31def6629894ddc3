/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for reconfigure at every reload, and has none. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .flags = FLOWD_COMPONENT_RECONFIGURE_ALWAYS}};
ZOO_MODULE(components)
