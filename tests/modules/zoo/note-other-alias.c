/* SPDX-License-Identifier: Apache-2.0 */
/* Note and descriptor disagree. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nplugin=zoo\nplugin.alias=lion\n");
static const flowd_component components[] = {{ZOO_COMPONENT}};
ZOO_MODULE(components)
