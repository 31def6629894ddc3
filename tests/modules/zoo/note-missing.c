/* SPDX-License-Identifier: Apache-2.0 */
/* No ELF note. */
#include "zoo.h"

static const flowd_component components[] = {{ZOO_COMPONENT}};
ZOO_MODULE(components)
