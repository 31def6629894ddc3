/* SPDX-License-Identifier: Apache-2.0 */
/* Answers an error to a batch without events. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    (void)instance;
    (void)events;
    (void)stride;
    (void)taken;
    return count == 0 ? FLOWD_ERROR : FLOWD_OK;
}
static const flowd_component components[] = {
    {ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0, .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events}};
ZOO_MODULE(components)
