/* SPDX-License-Identifier: Apache-2.0 */
/* A note that names no component. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\n");
static const flowd_component components[] = {{ZOO_COMPONENT}};
ZOO_MODULE(components)
