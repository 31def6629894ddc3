/* SPDX-License-Identifier: Apache-2.0 */
/* An enricher that can't sample. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nenricher=zoo\n");
static const flowd_component components[] = {{ZOO_COMPONENT, .kind = FLOWD_ENRICHER, .precedence = 0}};
ZOO_MODULE(components)
