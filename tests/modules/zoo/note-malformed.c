/* SPDX-License-Identifier: Apache-2.0 */
/* A note that is not a list of key=value. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi\nname=zoo\n");
static const flowd_component components[] = {{ZOO_COMPONENT}};
ZOO_MODULE(components)
