/* SPDX-License-Identifier: Apache-2.0 */
/* Refuses its first event for good, and answers an error to those behind it. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static int refused;
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    (void)instance;
    (void)events;
    (void)stride;
    (void)taken;
    if (count == 0) return FLOWD_OK;
    return refused++ == 0 ? FLOWD_INVALID : FLOWD_ERROR;
}
static const flowd_component components[] = {
    {ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0, .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events}};
ZOO_MODULE(components)
