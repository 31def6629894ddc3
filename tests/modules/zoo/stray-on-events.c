/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin that wants events: only backends get them. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_component components[] = {{ZOO_COMPONENT, .on_events = zoo_on_events}};
ZOO_MODULE(components)
