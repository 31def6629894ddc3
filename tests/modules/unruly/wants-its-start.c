/* SPDX-License-Identifier: Apache-2.0 */
/* Answers an error to an end whose start it has not seen. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    size_t i;
    (void)instance;
    int started = 0;
    (void)taken;
    for (i = 0; i < count; ++i) {
        const flowd_event* event = (const flowd_event*)((const char*)events + i * stride);
        if (event->kind == FLOWD_EVENT_START) started = 1;
        if (event->kind == FLOWD_EVENT_END && (event->flags & FLOWD_NO_START) == 0 && !started) return FLOWD_NOT_FOUND;
    }
    return FLOWD_OK;
}
static const flowd_component components[] = {
    {ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0, .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events}};
ZOO_MODULE(components)
