/* SPDX-License-Identifier: Apache-2.0 */
/* No such kind of component. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .kind = 9}};
ZOO_MODULE(components)
