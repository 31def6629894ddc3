/* SPDX-License-Identifier: Apache-2.0 */
/* The note says that the module is for another major. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi=2.0\nname=zoo\nversion=1.0\nplugin=zoo\n");
static const flowd_component components[] = {{ZOO_COMPONENT}};
ZOO_MODULE(components)
