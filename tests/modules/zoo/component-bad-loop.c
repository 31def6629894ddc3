/* SPDX-License-Identifier: Apache-2.0 */
/* No such loop. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .loop = 7}};
ZOO_MODULE(components)
