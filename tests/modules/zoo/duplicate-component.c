/* SPDX-License-Identifier: Apache-2.0 */
/* Two components of one kind and name. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nplugin=zoo\nplugin=zoo\n");
static const flowd_component components[] = {{ZOO_COMPONENT}, {ZOO_COMPONENT}};
ZOO_MODULE(components)
