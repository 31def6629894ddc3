/* SPDX-License-Identifier: Apache-2.0 */
/* A name that can't be a key of the YAML. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .name = "my/zoo"}};
ZOO_MODULE(components)
