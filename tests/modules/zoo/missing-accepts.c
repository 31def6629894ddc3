/* SPDX-License-Identifier: Apache-2.0 */
/* A backend that wants no event at all. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static const flowd_component components[] = {
    {ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0, .on_events = zoo_on_events}};
ZOO_MODULE(components)
