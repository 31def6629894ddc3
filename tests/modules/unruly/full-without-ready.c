/* SPDX-License-Identifier: Apache-2.0 */
/* Takes half of a large batch, and never says that it is ready for the rest. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    (void)instance;
    (void)events;
    (void)stride;
    if (count < 600) return FLOWD_OK;
    *taken = count / 2;
    return FLOWD_FULL;
}
static const flowd_component components[] = {
    {ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0, .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events}};
ZOO_MODULE(components)
