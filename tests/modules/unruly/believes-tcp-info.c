/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a member of tcp_info whatever its length is. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    size_t i;
    (void)instance;
    size_t j, sum = 0;
    (void)taken;
    for (i = 0; i < count; ++i) {
        const flowd_event* event = (const flowd_event*)((const char*)events + i * stride);
        for (j = 0; j < event->sample_count; ++j)
            sum += ((const flowd_sample*)((const char*)event->samples + j * event->sample_stride))->tcp_info.data[100];
    }
    return sum == 1 ? FLOWD_ERROR : FLOWD_OK;
}
static const flowd_component components[] = {
    {ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0, .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events}};
ZOO_MODULE(components)
