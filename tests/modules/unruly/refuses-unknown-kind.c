/* SPDX-License-Identifier: Apache-2.0 */
/* Answers an error to a kind of event that it does not know. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    size_t i;
    (void)instance;
    (void)taken;
    for (i = 0; i < count; ++i) {
        const flowd_event* event = (const flowd_event*)((const char*)events + i * stride);
        if (event->kind == 0 || event->kind > FLOWD_EVENT_CATCH_ALL_CLEAR) return FLOWD_UNSUPPORTED;
    }
    return FLOWD_OK;
}
static const flowd_component components[] = {
    {ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0, .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events}};
ZOO_MODULE(components)
