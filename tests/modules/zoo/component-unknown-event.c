/* SPDX-License-Identifier: Apache-2.0 */
/* A backend that wants kinds of event that there are not. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static const flowd_component components[] = {{ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0,
                                              .on_events = zoo_on_events,
                                              .accepts = 1u << FLOWD_EVENT_START | 1u << 6 | 1u << 0}};
ZOO_MODULE(components)
