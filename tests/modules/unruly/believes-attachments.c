/* SPDX-License-Identifier: Apache-2.0 */
/* Takes an id of no bytes for text. */
#include "tests/modules/zoo/zoo.h"

#include <string.h>

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    size_t i;
    (void)instance;
    size_t j, length = 0;
    (void)taken;
    for (i = 0; i < count; ++i) {
        const flowd_event* event = (const flowd_event*)((const char*)events + i * stride);
        for (j = 0; j < event->attachment_count; ++j)
            length += strlen(
                ((const flowd_attachment*)((const char*)event->attachments + j * event->attachment_stride))->id.data);
    }
    return length == 1 ? FLOWD_ERROR : FLOWD_OK;
}
static const flowd_component components[] = {
    {ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0, .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events}};
ZOO_MODULE(components)
