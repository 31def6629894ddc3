/* SPDX-License-Identifier: Apache-2.0 */
/* An alias that can't be a key of the YAML. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .aliases = (const char* const[]){"a b", NULL}}};
ZOO_MODULE(components)
